package load

import (
	"context"
	"fmt"
	"net/url"
	"time"
)

// quietRooms are a quiet room on the loaded server and its control: the same room,
// in the same steps, on an idle server. Server, control and generator share the
// processors, so latency common to both rooms is machine noise. The difference is
// due to the loaded server.
type quietRooms struct {
	room    *quietProcess
	control *quietProcess // nil unless Config.Self
	alone   *servers      // the control's server: unclustered, and in no other figure
}

// openQuietRooms starts both rooms and returns after they have measured for
// quietBefore. The caller must close them.
func (r *run) openQuietRooms(ctx context.Context, target *url.URL) (_ *quietRooms, err error) {
	q := &quietRooms{}
	defer func() {
		if err == nil {
			return
		}
		q.close()
		if ctx.Err() != nil { // which has killed the processes
			err = context.Cause(ctx)
		}
	}()
	topic := r.prefix + "-quiet"
	if r.Self {
		r.show.set("a control room", nil)
		if q.alone, err = startControl(ctx, r.Config); err != nil {
			return nil, fmt.Errorf("control room: %w", err)
		}
		if q.control, err = startQuietProcess(ctx, r.QuietCommand, "control room", q.alone.targets[0], topic); err != nil {
			return nil, q.alone.withEnded(err)
		}
	}
	r.show.set("a quiet room", nil)
	if q.room, err = startQuietProcess(ctx, r.QuietCommand, "quiet room", target, topic); err != nil {
		return nil, err
	}
	q.during("before")
	timer := time.NewTimer(quietBefore)
	defer timer.Stop()
	select {
	case <-timer.C:
		return q, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// startControl starts the control's server, outside of any cluster.
func startControl(ctx context.Context, c *Config) (*servers, error) {
	ctx, cancel := startingUp(ctx)
	defer cancel()
	s := &servers{name: "control"}
	if err := s.startReplica(ctx, c, false); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// during begins a step in both rooms, at the same time.
func (q *quietRooms) during(name string) {
	now := time.Now()
	q.room.during(name, now)
	if q.control != nil {
		q.control.during(name, now)
	}
}

// rows ends the measurement and returns a row for each step, with the control's
// figures if there is a control.
func (q *quietRooms) rows() ([]Row, error) {
	q.room.finish()
	if q.control != nil {
		q.control.finish()
	}
	told, err := q.room.figures()
	if err != nil {
		return nil, err
	}
	var controls []quietFigures
	if q.control != nil {
		if controls, err = q.control.figures(); err != nil {
			return nil, q.alone.withEnded(err)
		}
		if len(controls) != len(told) {
			return nil, q.control.fault(fmt.Errorf("reported %d steps, the quiet room %d", len(controls), len(told)))
		}
	}
	var rows []Row
	for i, s := range told {
		cells := s.latencies("latency", "")
		if q.control != nil {
			cells = append(cells, controls[i].latencies("control", "control ")...)
		}
		rows = append(rows, Row{Step: "quiet room, " + s.Step, Cells: append(cells, cell("deliveries", "deliveries", 0, float64(s.Deliveries)))})
	}
	return rows, nil
}

// close ends the rooms and the control's server. It may be called after rows.
func (q *quietRooms) close() {
	for _, p := range []*quietProcess{q.room, q.control} {
		if p != nil {
			p.close()
		}
	}
	if q.alone != nil {
		q.alone.close()
	}
}
