package serve

import (
	"encoding/json"
	"net/http"
)

// health is the body of /healthz.
type health struct {
	Status      string `json:"status"` // "ok", "disconnected" or "draining"
	Replica     string `json:"replica"`
	Connected   bool   `json:"connected"`        // to NATS, or with no need to be
	Connections int64  `json:"connections"`      // of clients, now
	Routes      *int   `json:"routes,omitempty"` // other servers of an embedded cluster, now
}

// health tells how the replica is. It may be called at any time after the start.
func (r *replica) health() health {
	h := health{
		Status:      "ok",
		Replica:     r.name,
		Connected:   r.nc == nil || r.nc.IsConnected(),
		Connections: r.endpoint.Stats().Connections,
	}
	if r.embedded != nil && r.embedded.ClusterAddr() != "" {
		routes := r.embedded.OtherServers()
		h.Routes = &routes
	}
	switch {
	case r.draining.Load():
		h.Status = "draining"
	case !h.Connected:
		h.Status = "disconnected"
	}
	return h
}

func (r *replica) serveHealth(w http.ResponseWriter, _ *http.Request) {
	h := r.health()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if h.Status != "ok" {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(h) // who asked may have gone
}
