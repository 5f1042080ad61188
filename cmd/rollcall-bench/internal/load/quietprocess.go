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

// quietReady is printed by the process of a quiet room when all clients have joined.
const quietReady = "quiet room: ready"

// quietFigures are the figures of one step, as the process prints them.
type quietFigures struct {
	Step          string
	P50, P99, Max time.Duration
	Deliveries    uint64
}

// latencies returns the cells; key and title are the prefixes of their keys and
// titles. Values are unknown if the step was too short for a delivery.
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

// ServeQuietRoom joins a few clients to a topic on the server at target, prints a
// line when they have joined, and measures until stdin ends. Then it prints its
// figures as JSON and returns. Each line of stdin begins a step: the time in Unix
// nanoseconds, and the name.
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
			return fmt.Errorf("quiet room: not a step: %q", lines.Text())
		}
		q.during(name, time.Unix(0, ns))
	}
	told, err := q.figures(ctx)
	if err != nil {
		return fmt.Errorf("quiet room: %w", err)
	}
	return json.NewEncoder(stdout).Encode(told)
}

// A quietProcess is a quiet room in a process of its own, so that the generator's
// thousands of clients do not delay it.
type quietProcess struct {
	name   string // for errors
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
	log    *tail
	waited bool
}

// startQuietProcess runs command with target and topic appended and waits until its
// clients have joined. The process is killed by close, and when ctx ends.
func startQuietProcess(ctx context.Context, command []string, name string, target *url.URL, topic string) (*quietProcess, error) {
	if len(command) == 0 {
		return nil, fmt.Errorf("%s: no command that starts it", name)
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
		err = fmt.Errorf("unexpected output %q", line)
	}
	if err != nil {
		return nil, q.fault(err)
	}
	return q, nil
}

func (q *quietProcess) fault(err error) error {
	q.close() // the log is complete only then
	return fmt.Errorf("%s: %w; its log: %s", q.name, err, q.log)
}

// during begins a step. Errors of the process are returned by figures.
func (q *quietProcess) during(name string, from time.Time) {
	fmt.Fprintf(q.stdin, "%d %s\n", from.UnixNano(), name)
}

// finish ends the measurement. It may be called more than once.
func (q *quietProcess) finish() { q.stdin.Close() }

// figures returns the figures of each step, after finish.
func (q *quietProcess) figures() ([]quietFigures, error) {
	var told []quietFigures
	if err := json.NewDecoder(q.stdout).Decode(&told); err != nil {
		return nil, q.fault(err)
	}
	return told, nil
}

// close kills the process and waits for it. It may be called at any time and more
// than once.
func (q *quietProcess) close() {
	if q.waited {
		return
	}
	q.waited = true
	q.finish()
	_ = q.cmd.Process.Kill() // it may have ended
	_ = q.cmd.Wait()
}
