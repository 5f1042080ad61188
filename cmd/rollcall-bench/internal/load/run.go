package load

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// settle limits each wait for a fleet.
const settle = 60 * time.Second

// Run runs the mode of c and returns the measurements. The error names every fault
// in c, or is the first failure: a server that does not start or that ends, a
// refused join, a lost delivery, a closed connection.
func Run(ctx context.Context, c Config) (*Report, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	ctx, cancel := context.WithTimeoutCause(ctx, c.Timeout, fmt.Errorf("not finished within --timeout %v", c.Timeout))
	defer cancel()
	p := startProgress(c.Progress, c.Mode)
	defer p.stop()
	report := &Report{Mode: c.Mode, Settings: c.settings()}
	machine := watchMachine()
	for i := range c.Repeat {
		rows, err := runOnce(ctx, &c, p)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			row.Run = i + 1
			report.Rows = append(report.Rows, row)
		}
	}
	report.Machine = machine()
	report.Rows = withMedians(report.Rows)
	if c.Floor {
		report.Rows = append(report.Rows, ratios(c.Mode, report.Rows)...)
	}
	return report, nil
}

// run is one run of a mode.
type run struct {
	*Config
	servers *servers
	show    *progress
	prefix  string // of the topics, unique to the run
}

func (r *run) topic(n int) string { return fmt.Sprintf("%s-%d", r.prefix, n) }

func runOnce(ctx context.Context, c *Config, p *progress) ([]Row, error) {
	modes := map[string]struct {
		servers int
		run     func(*run, context.Context) ([]Row, error)
	}{
		"conns":    {1, (*run).conns},
		"fanout":   {1, (*run).fanout},
		"presence": {1, (*run).presence},
		"remote":   {2, (*run).remote},
		"kill":     {2, (*run).kill},
		"fresh":    {2, (*run).fresh},
		"hostile":  {1, (*run).hostile},
	}
	mode := modes[c.Mode]
	p.set("starting", nil)
	s, err := startServers(ctx, c, mode.servers)
	if err != nil {
		return nil, err
	}
	rows, err := measure(ctx, c, p, s, mode.run)
	if !c.Floor || err != nil {
		return rows, err
	}
	for _, kind := range floorsOf[c.Mode] {
		p.set("starting the floor", nil)
		s, err := startFloor(ctx, c, kind)
		if err != nil {
			return nil, err
		}
		floor, err := measure(ctx, c, p, s, mode.run)
		if err != nil {
			return nil, fmt.Errorf("floor, %s: %w", kind, err)
		}
		for _, row := range floor {
			row.Step = floorStep(row.Step, kind)
			rows = append(rows, row)
		}
	}
	return rows, nil
}

// measure runs a mode with servers and stops them.
func measure(ctx context.Context, c *Config, p *progress, s *servers, do func(*run, context.Context) ([]Row, error)) ([]Row, error) {
	defer s.close()
	rows, err := do(&run{Config: c, servers: s, show: p, prefix: "room:load-" + rand.Text()[:10]}, ctx)
	if err != nil {
		err = s.withEnded(err)
	}
	return rows, err
}

// settings returns the part of c that the report shows.
func (c *Config) settings() []Cell {
	cells := []Cell{cell("clients", "clients", 0, float64(c.Clients))}
	switch c.Mode {
	case "conns":
		cells = append(cells, cell("per_topic", "a topic", 0, float64(c.PerTopic)), cell("hold_s", "s idle", 1, c.Hold.Seconds()))
	case "fanout":
		cells = append(cells, cell("publishers", "publishers", 0, float64(c.Publishers)), cell("payload_bytes", "bytes of payload", 0, float64(c.Payload)),
			cell("duration_s", "s a step", 1, c.Duration.Seconds()))
	case "presence":
		cells = append(cells, cell("join_rate", "joins/s (0: all at once)", 0, c.JoinRate), cell("churn_rate", "leaves/s of churn", 1, c.ChurnRate),
			cell("churn_s", "s of churn", 1, c.Churn.Seconds()))
	case "kill":
		cells = append(cells, cell("per_topic", "a topic", 0, float64(c.PerTopic)))
	case "hostile":
		cells = append(cells, cell("hostile", "hostile at a time", 0, float64(c.Hostile)), cell("rate", "publishes/s", 1, c.Rate),
			cell("payload_bytes", "bytes of payload", 0, float64(c.Payload)), cell("duration_s", "s a step", 1, c.Duration.Seconds()))
	case "fresh":
		cells = append(cells, cell("hold_s", "s idle", 1, c.Hold.Seconds()))
	case "remote":
		cells = append(cells, cell("rate", "joins/s", 1, c.Rate), cell("topics", "topics", 0, float64(c.Topics)), cell("duration_s", "s", 1, c.Duration.Seconds()))
	}
	return cells
}

// progress writes a line about the current step every second. On a terminal each
// line replaces the previous one.
type progress struct {
	// Static.
	w     io.Writer
	mode  string
	over  bool
	quit  chan struct{}
	ended sync.WaitGroup

	mu    sync.Mutex
	step  string
	count func() string // may be nil
	since time.Time
}

func startProgress(w io.Writer, mode string) *progress {
	p := &progress{w: w, mode: mode, quit: make(chan struct{}), since: time.Now()}
	if w == nil {
		return p
	}
	if file, ok := w.(*os.File); ok {
		if info, err := file.Stat(); err == nil {
			p.over = info.Mode()&os.ModeCharDevice != 0
		}
	}
	p.ended.Go(p.loop)
	return p
}

// set begins a step. count may be called at any time and by another goroutine.
func (p *progress) set(step string, count func() string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.step, p.count, p.since = step, count, time.Now()
}

func (p *progress) loop() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-p.quit:
			if p.over {
				fmt.Fprint(p.w, "\r\x1b[K")
			}
			return
		}
		p.mu.Lock()
		line := fmt.Sprintf("%s: %s, %.0f s", p.mode, p.step, time.Since(p.since).Seconds())
		if p.count != nil {
			line += ", " + p.count()
		}
		p.mu.Unlock()
		if p.over {
			fmt.Fprint(p.w, "\r"+line+"\x1b[K")
		} else {
			fmt.Fprintln(p.w, line)
		}
	}
}

func (p *progress) stop() {
	close(p.quit)
	p.ended.Wait()
}
