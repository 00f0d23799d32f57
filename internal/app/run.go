package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/solver/http01"
	"github.com/certfleet/certfleet/internal/solver/tlsalpn01"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/work"
	"golang.org/x/sync/errgroup"
)

// Run listens and works until ctx ends, then finishes the steps in flight.
func (a *App) Run(ctx context.Context) error {
	ctx = store.WithActor(ctx, "node:"+a.Work.Owner)
	listeners, err := a.listen(ctx)
	if err != nil {
		return err
	}
	if !a.readOnly {
		if err := work.FreeDead(ctx, a.DB); err != nil {
			return errors.Join(err, closeAll(listeners))
		}
	}
	close(a.ready)
	group, ctx := errgroup.WithContext(ctx)
	a.serveHandlers(ctx, group, listeners)
	if !a.readOnly {
		group.Go(func() error { return a.Edge.Run(ctx, a.Log) })
		group.Go(func() error { return a.runs.run(ctx) })
		group.Go(func() error { return a.newFollower().run(ctx) })
		a.solve(ctx, group, listeners)
		group.Go(func() error { return Ease(ctx) })
		group.Go(func() error { return a.Work.Run(ctx) })
	}
	return group.Wait()
}

// RunOnce does all due work without an API: it answers challenges on the
// configured ports, and ends when nothing is due within patience.
func (a *App) RunOnce(ctx context.Context, patience time.Duration) error {
	ctx = store.WithActor(ctx, "node:"+a.Work.Owner)
	if err := a.Keys.Check(ctx); err != nil {
		return err
	}
	listeners, err := a.listenFor(ctx, "http01", "tlsalpn01")
	if err != nil {
		return err
	}
	if err := work.FreeDead(ctx, a.DB); err != nil {
		return errors.Join(err, closeAll(listeners))
	}
	a.newFollower().look(ctx)
	solving, stop := context.WithCancel(ctx)
	group, solving := errgroup.WithContext(solving)
	a.solve(solving, group, listeners)
	group.Go(func() error {
		defer stop()
		return a.Work.Drain(solving, patience)
	})
	return group.Wait()
}

// solve answers challenges where there are listeners for them.
func (a *App) solve(ctx context.Context, group *errgroup.Group, listeners map[string]net.Listener) {
	if ln := listeners["http01"]; ln != nil {
		handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h := http01.Handler{Lookup: a.answer, Hit: a.hits.add, Trusted: *a.trusted.Load(), Log: a.Log}
			h.ServeHTTP(w, r)
		})
		group.Go(func() error { return serve(ctx, http01.NewServer(handler), ln) })
	}
	if ln := listeners["tlsalpn01"]; ln != nil {
		group.Go(func() error { return tlsalpn01.Serve(ctx, ln, a.answerTLS, nil) })
	}
	group.Go(func() error { return a.hits.run(ctx, a.Log) })
}

// listen opens every listener that is configured.
func (a *App) listen(ctx context.Context) (map[string]net.Listener, error) {
	if a.readOnly {
		return a.listenFor(ctx, "api")
	}
	return a.listenFor(ctx, "api", "http01", "tlsalpn01", "edge", "agents")
}

func (a *App) listenFor(ctx context.Context, names ...string) (map[string]net.Listener, error) {
	out := map[string]net.Listener{}
	for _, name := range names {
		addr := a.Address(name)
		if addr == "" {
			continue
		}
		ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
		if err != nil && a.beside(ctx, name) {
			a.Log.Info("a manager that runs answers challenges here", "listener", name, "address", addr)
			continue
		}
		if err != nil {
			return nil, errors.Join(a.portProblem(name, addr, err), closeAll(out))
		}
		out[name] = ln
		a.mu.Lock()
		a.listening[name] = ln.Addr().String()
		a.mu.Unlock()
	}
	return out, nil
}

// beside reports whether the port for challenges is held by another node, which
// answers for this one too when they share the database. A manager, which has an
// API, wants its ports for itself.
func (a *App) beside(ctx context.Context, name string) bool {
	ours, addr := a.Addr("http01") != "", a.Address("http01")
	if a.Config.Listen.API.On() || ours || addr == "" || name != "http01" && name != "tlsalpn01" {
		return false
	}
	return answers(ctx, a.Config, "http://", addr, certfleet.ChallengePath+"ping", "pong")
}

// Address is the configured address of a listener, empty when it is off.
func (a *App) Address(name string) string {
	l := a.Config.Listen
	addr, ok := map[string]interface{ On() bool }{"api": l.API, "http01": l.HTTP01, "tlsalpn01": l.TLSALPN01, "edge": l.Edge, "agents": l.Agents}[name]
	if !ok || !addr.On() {
		return ""
	}
	return fmt.Sprint(addr)
}

// portProblem tells what to do about a port that cannot be had. Who only shows a
// copy most likely does so beside the manager that holds it.
func (a *App) portProblem(name, addr string, err error) error {
	if a.readOnly {
		return &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf("cannot listen on %s: the manager that runs here may hold it", addr),
			Advice: "set CERTFLEET_LISTEN_API to another address for --read-only, such as 127.0.0.1:7444", Err: err}
	}
	advice := "end the program that holds the port, or change listen." + name
	if !a.Config.Listen.API.On() { // it is certfleet run, which has a flag for each of its ports
		advice += fmt.Sprintf(", or add --%s off", name)
	}
	return &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf("cannot listen on %s for %s", addr, name), Advice: advice, Err: err}
}

func closeAll(listeners map[string]net.Listener) error {
	var all error
	for _, ln := range listeners {
		all = errors.Join(all, ln.Close())
	}
	return all
}

// Addr is where a listener (api, http01, tlsalpn01, edge, agents) listens, once Ready.
func (a *App) Addr(name string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.listening[name]
}

// Ready is closed when every listener is open.
func (a *App) Ready() <-chan struct{} { return a.ready }

// serve runs an HTTP server until ctx ends, then lets requests finish for a while.
func serve(ctx context.Context, s *http.Server, ln net.Listener) error {
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ln) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := s.Shutdown(stop); err != nil {
		s.Close()
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// serveHandlers serves the API, and what edges and agents ask for at listeners of
// their own.
func (a *App) serveHandlers(ctx context.Context, group *errgroup.Group, listeners map[string]net.Listener) {
	handler := a.Handler()
	if ln := listeners["api"]; ln != nil {
		group.Go(func() error { return a.serveHTTP(ctx, ln, handler, a.Config.TLS.Plain) })
	}
	if ln := listeners["edge"]; ln != nil {
		plain := a.Config.Edge.Plain || a.Config.Listen.Edge.Loopback()
		group.Go(func() error { return a.serveHTTP(ctx, ln, onlyEdges(handler, a.Config.Edge), plain) })
	}
	if ln := listeners["agents"]; ln != nil {
		group.Go(func() error { return a.serveAgents(ctx, ln, onlyAgents(handler)) })
	}
}

// server is one with the bounds that every listener has.
func (a *App) server(ctx context.Context, h http.Handler) *http.Server {
	return &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 60 * time.Second, IdleTimeout: 120 * time.Second, MaxHeaderBytes: 64 << 10, BaseContext: func(net.Listener) context.Context { return ctx }, ErrorLog: slog.NewLogLogger(a.Log.Handler(), slog.LevelDebug)}
}

// serveHTTP serves over TLS, by the certificate of the API, or plainly.
func (a *App) serveHTTP(ctx context.Context, ln net.Listener, h http.Handler, plain bool) error {
	s := a.server(ctx, h)
	if plain {
		return serve(ctx, s, ln)
	}
	certs, err := a.apiCertificates(ctx)
	if err != nil {
		return err
	}
	s.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: certs.get, NextProtos: []string{"h2", "http/1.1"}}
	s.TLSConfig.GetConfigForClient = certs.forAgents()
	return serve(ctx, s, tls.NewListener(ln, s.TLSConfig))
}
