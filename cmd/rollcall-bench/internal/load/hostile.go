package load

import (
	"bufio"
	"context"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// hostile measures the latency of well-behaved subscribers beside misbehaving
// clients, one kind at a time, in their topic and in another.
func (r *run) hostile(ctx context.Context) (rows []Row, err error) {
	o, err := r.startFanout(ctx)
	if err != nil {
		return nil, err
	}
	defer o.fleet.close()
	for i, kind := range mischiefs {
		for _, place := range []string{"same topic", "other topic"} {
			step, topic := kind.name+", "+place, r.topic(0)
			if kind.anywhere {
				step = kind.name
			}
			if place == "other topic" {
				topic = r.topic(1 + i)
			}
			row, err := o.against(ctx, step, kind, topic)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", step, err)
			}
			rows = append(rows, row)
			if kind.anywhere {
				break
			}
		}
	}
	return rows, nil
}

// against measures without misbehaving clients and then with them.
func (o *fanout) against(ctx context.Context, step string, kind mischief, topic string) (Row, error) {
	target := o.servers.targets[0]
	without, err := o.step(ctx, step+": without", 0, o.Rate)
	if err != nil {
		return Row{}, err
	}
	refusedBefore, before, began := rejections(ctx, target), o.servers.usage(), time.Now()
	m := startMob(ctx, kind, o.Hostile, topic, target)
	with, err := o.step(ctx, step, 0, o.Rate)
	took, after := time.Since(began), o.servers.usage()
	m.stop()
	if err != nil {
		return Row{}, err
	}
	// Diffs about clients that have left must not be in the next figures.
	if err := o.fleet.quiet(ctx, settle); err != nil {
		return Row{}, err
	}
	refused := rejections(ctx, target)
	row := Row{Step: step}
	for _, key := range []string{"latency_p50_ms", "latency_p99_ms", "latency_max_ms"} {
		a, b := without.cell(key), with.cell(key)
		row.Cells = append(row.Cells, cell("without_"+a.Key, a.Title+" without", a.Digits, a.Value), cell("with_"+b.Key, "with", b.Digits, b.Value))
	}
	row.Cells = append(row.Cells,
		cell("attempts", "connections", 0, float64(m.attempts.Load())),
		cell("closed", "closed", 0, float64(m.closed.Load())),
		cell("closed_1013", "with 1013", 0, m.closedWith(websocketTryLater)),
		cell("refused", "refused", 0, float64(m.refused.Load())),
	)
	for _, cause := range []string{"slow", "flood", "mailbox", "join_rate", "address"} {
		row.Cells = append(row.Cells, cell("rejected_"+cause, "told "+cause, 0, refused[cause]-refusedBefore[cause]))
	}
	row.Cells = append(row.Cells,
		cell("rejected", "told in all", 0, refused[""]-refusedBefore[""]),
		cell("server_cpu_percent", "server CPU %", 0, known(float64(after.cpu-before.cpu)/float64(took)*100, before, after)),
		cell("server_resident_mib", "resident MiB", 1, known(mib(after.resident), after)),
		cell("server_peak_mib", "peak MiB", 1, known(mib(after.peak), after)),
	)
	return row, nil
}

// websocketTryLater is the close code for clients that exceed a limit.
const websocketTryLater = 1013

func (r Row) cell(key string) Cell {
	for _, c := range r.Cells {
		if c.Key == key {
			return c
		}
	}
	return Cell{Key: key, Value: math.NaN()}
}

// rejections returns the server's rejection counts by cause, from its metrics; ""
// is their sum. They are NaN if the server does not expose them.
func rejections(ctx context.Context, target *url.URL) map[string]float64 {
	unknown := map[string]float64{"": math.NaN(), "slow": math.NaN(), "flood": math.NaN(), "mailbox": math.NaN(), "join_rate": math.NaN(), "address": math.NaN()}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+target.Host+"/metrics", nil)
	if err != nil {
		return unknown
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		return unknown
	}
	defer res.Body.Close()
	counts := map[string]float64{}
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		labels, value, ok := strings.Cut(strings.TrimPrefix(lines.Text(), "rollcall_channel_rejections_total{"), "} ")
		if !ok || !strings.HasPrefix(lines.Text(), "rollcall_channel_rejections_total{") {
			continue
		}
		_, cause, _ := strings.Cut(labels, `cause="`)
		cause, _, _ = strings.Cut(cause, `"`)
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return unknown
		}
		counts[cause] += n
		counts[""] += n
	}
	if len(counts) == 0 {
		return unknown
	}
	return counts
}
