package load

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
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

// latencies are its cells, with what their keys and titles begin with. In a step
// that was too short for a delivery they are not known.
func (f quietFigures) latencies(key, title string) []Cell {
	ms := func(d time.Duration) float64 {
		if f.Deliveries == 0 {
			return math.NaN()
		}
		return millis(d)
	}
	return []Cell{
		cell(key+"_p50_ms", title+"p50 ms", 2, ms(f.P50)),
		cell(key+"_p99_ms", title+"p99 ms", 2, ms(f.P99)),
		cell(key+"_max_ms", title+"max ms", 2, ms(f.Max)),
	}
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
	name   string // of the room, for errors
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
	log    *tail
	waited bool
}

// startQuietProcess starts command, followed by target and topic, and waits until
// the room is there. close ends it, and so does the end of ctx.
func startQuietProcess(ctx context.Context, command []string, name string, target *url.URL, topic string) (*quietProcess, error) {
	if len(command) == 0 {
		return nil, fmt.Errorf("%s: no command to start it with", name)
	}
	args := append(append([]string{}, command[1:]...), target.String(), topic)
	q := &quietProcess{name: name, cmd: exec.CommandContext(ctx, command[0], args...), log: &tail{}}
	q.cmd.Stderr = q.log
	stdin, err1 := q.cmd.StdinPipe()
	stdout, err2 := q.cmd.StdoutPipe()
	if err := errors.Join(err1, err2); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	q.stdin, q.stdout = stdin, bufio.NewReader(stdout)
	if err := q.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	line, err := q.stdout.ReadString('\n')
	if err == nil && strings.TrimSpace(line) != quietReady {
		err = fmt.Errorf("it said %q", line)
	}
	if err != nil {
		return nil, q.fault(err)
	}
	return q, nil
}

func (q *quietProcess) fault(err error) error {
	q.close() // or its log may not be whole
	return fmt.Errorf("%s: %w; its log: %s", q.name, err, q.log)
}

// during begins a step. What the process has against it, figures tells.
func (q *quietProcess) during(name string, from time.Time) {
	fmt.Fprintf(q.stdin, "%d %s\n", from.UnixNano(), name)
}

// finish ends the measuring. It may be called more than once.
func (q *quietProcess) finish() { q.stdin.Close() }

// figures are what was measured, a step each, when finish was called.
func (q *quietProcess) figures() ([]quietFigures, error) {
	var told []quietFigures
	if err := json.NewDecoder(q.stdout).Decode(&told); err != nil {
		return nil, q.fault(err)
	}
	return told, nil
}

// close ends the process, which has nothing to do any more; it may be called at any
// time, and again.
func (q *quietProcess) close() {
	if q.waited {
		return
	}
	q.waited = true
	q.finish()
	_ = q.cmd.Process.Kill() // it may have ended
	_ = q.cmd.Wait()
}
