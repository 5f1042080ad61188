package serve

import (
	"context"
	"net"
	"net/http"
	"net/http/pprof"

	"github.com/rollcall-go/rollcall/transport/intake"
)

// maxAdminConns is the most connections to the admin address at a time.
const maxAdminConns = 100

// admin is what a replica serves to who runs it, at an address of its own: who
// asks there does not wait in the line of the clients who connect.
type admin struct {
	listener net.Listener // static
	server   *http.Server // static after serveAdmin, nil before
}

// listenAdmin opens the listening socket. Who connects waits there until
// serveAdmin.
func listenAdmin(ctx context.Context, address string) (*admin, error) {
	l, err := listen(ctx, "--admin-listen", address)
	if err != nil {
		return nil, err
	}
	return &admin{listener: l}, nil
}

// serveAdmin begins to serve the admin address. The Intake bounds how many
// connections there are, and paces nobody: that is done by its Listener.
func (r *replica) serveAdmin() error {
	bounds, err := intake.New(intake.Config{MaxHTTP: maxAdminConns})
	if err != nil {
		return err
	}
	r.admin.server = r.newServer(r.adminHandler(), bounds)
	r.run(r.admin.server, r.admin.listener)
	return nil
}

func (r *replica) adminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", r.serveHealth)
	mux.Handle("GET /metrics", r.metrics())
	// Without pprof.Cmdline: secrets may stand in a command line. The index serves
	// all profiles that are not named here.
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}
