package load

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// quietReady is what the process of a quiet room prints when all have joined.
const quietReady = "quiet room: ready"

// quietFigures is what it tells of a step.
type quietFigures struct {
	Step          string
	P50, P99, Max time.Duration
	Deliveries    uint64
}

// ServeQuietRoom has a few clients of the server at target in a topic, prints that
// they are there, and measures, until stdin ends; then it prints its figures, and
// returns. Each line of stdin begins a step: when, in Unix nanoseconds, and its
// name.
func ServeQuietRoom(ctx context.Context, stdin io.Reader, stdout io.Writer, target, topic string) error {
	u, err := socketURL(target)
	if err != nil {
		return err
	}
	q, err := openQuietRoom(ctx, u, topic)
	if err != nil {
		return fmt.Errorf("quiet room: %w", err)
	}
	defer q.close()
	fmt.Fprintln(stdout, quietReady)
	lines := bufio.NewScanner(stdin)
	for lines.Scan() {
		at, name, _ := strings.Cut(lines.Text(), " ")
		ns, err := strconv.ParseInt(at, 10, 64)
		if err != nil {
			return fmt.Errorf("quiet room: no step: %q", lines.Text())
		}
		q.during(name, time.Unix(0, ns))
	}
	told, err := q.figures(ctx)
	if err != nil {
		return fmt.Errorf("quiet room: %w", err)
	}
	return json.NewEncoder(stdout).Encode(told)
}

// A quietProcess is a quiet room in a process of its own, so that its latencies are
// the server's, and not those of a generator that has thousands of clients to look
// after.
type quietProcess struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
	log    *tail
	waited bool
}

// newQuietRoom starts one, and has it measure for a while before it returns. close
// ends it.
func (r *run) newQuietRoom(ctx context.Context, target *url.URL) (*quietProcess, error) {
	if len(r.QuietCommand) == 0 {
		return nil, errors.New("quiet room: no command to start it with")
	}
	r.show.set("a quiet room", nil)
	args := append(append([]string{}, r.QuietCommand[1:]...), target.String(), r.prefix+"-quiet")
	q := &quietProcess{cmd: exec.CommandContext(ctx, r.QuietCommand[0], args...), log: &tail{}}
	q.cmd.Stderr = q.log
	stdin, err1 := q.cmd.StdinPipe()
	stdout, err2 := q.cmd.StdoutPipe()
	if err := errors.Join(err1, err2); err != nil {
		return nil, fmt.Errorf("quiet room: %w", err)
	}
	q.stdin, q.stdout = stdin, bufio.NewReader(stdout)
	if err := q.cmd.Start(); err != nil {
		return nil, fmt.Errorf("quiet room: %w", err)
	}
	line, err := q.stdout.ReadString('\n')
	if err == nil && strings.TrimSpace(line) != quietReady {
		err = fmt.Errorf("it said %q", line)
	}
	if err != nil {
		return nil, q.fault(err)
	}
	q.during("before")
	timer := time.NewTimer(quietBefore)
	defer timer.Stop()
	select {
	case <-timer.C:
		return q, nil
	case <-ctx.Done():
		q.close()
		return nil, context.Cause(ctx)
	}
}

func (q *quietProcess) fault(err error) error {
	q.close() // or its log may not be whole
	return fmt.Errorf("quiet room: %w; its log: %s", err, q.log)
}

// during begins a step. What the process has against it, rows tells.
func (q *quietProcess) during(name string) {
	fmt.Fprintf(q.stdin, "%d %s\n", time.Now().UnixNano(), name)
}

// rows ends the measuring, and has a row for each step.
func (q *quietProcess) rows() ([]Row, error) {
	q.stdin.Close()
	var told []quietFigures
	if err := json.NewDecoder(q.stdout).Decode(&told); err != nil {
		return nil, q.fault(err)
	}
	var rows []Row
	for _, s := range told {
		rows = append(rows, Row{Step: "quiet room, " + s.Step, Cells: []Cell{
			cell("latency_p50_ms", "p50 ms", 2, millis(s.P50)),
			cell("latency_p99_ms", "p99 ms", 2, millis(s.P99)),
			cell("latency_max_ms", "max ms", 2, millis(s.Max)),
			cell("deliveries", "deliveries", 0, float64(s.Deliveries)),
		}})
	}
	return rows, nil
}

// close ends the process, which has nothing to do any more; it may be called after
// rows.
func (q *quietProcess) close() {
	if q.waited {
		return
	}
	q.waited = true
	q.stdin.Close()
	_ = q.cmd.Process.Kill() // it may have ended
	_ = q.cmd.Wait()
}
