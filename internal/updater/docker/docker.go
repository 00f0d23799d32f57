// Package docker is the two updaters that speak to the Docker Engine: one
// restarts or signals containers, one makes Swarm services start anew.
package docker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/client"

	"github.com/certfleet/certfleet"
)

// Engine is what both kinds of updater share.
type Engine struct {
	// Host of the engine's API: unix:///path, tcp://host:port or http://host:port;
	// empty means unix:///var/run/docker.sock.
	Host string `json:"host,omitempty"`
	// Name, exactly. Name or filters must be there, or both, which all must fit.
	Name string `json:"name,omitempty"`
	// Filters as docker ps --filter takes them, by key: {"label": ["tls=yes"]}.
	Filters map[string][]string `json:"filters,omitempty"`
	// Timeout bounds the whole update; zero means 60s.
	Timeout certfleet.Duration `json:"timeout,omitempty"`
}

const (
	defaultHost    = "unix:///var/run/docker.sock"
	defaultTimeout = 60 * time.Second
)

func (e *Engine) settle() error {
	e.Host = cmp.Or(e.Host, defaultHost)
	if rest, ok := strings.CutPrefix(e.Host, "unix://"); ok && !strings.HasPrefix(rest, "/") {
		e.Host = "unix:///" + rest // two slashes are often written, and meant so
	}
	if e.Timeout <= 0 {
		e.Timeout = certfleet.Duration(defaultTimeout)
	}
	if e.Name == "" && len(e.Filters) == 0 {
		return &certfleet.Error{Kind: certfleet.Invalid, Msg: "neither name nor filters is given", Advice: "name what is to be updated, or filter by label"}
	}
	if _, err := client.ParseHostURL(e.Host); err != nil {
		return &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf("host %q is not the address of a Docker Engine", e.Host), Advice: "write unix:///var/run/docker.sock or tcp://host:port", Err: err}
	}
	return nil
}

// open makes a client, which settles the version of the API with its first request.
func (e *Engine) open() (*client.Client, error) {
	c, err := client.New(client.WithHost(e.Host), client.WithUserAgent(certfleet.UserAgent))
	if err != nil {
		return nil, fmt.Errorf("open docker client: %w", err)
	}
	return c, nil
}

func (e *Engine) filters() client.Filters {
	f := client.Filters{}
	for term, values := range e.Filters {
		f = f.Add(term, values...)
	}
	return f
}

func (e *Engine) none(what string) error {
	return &certfleet.Error{Kind: certfleet.NotFound, Msg: fmt.Sprintf("no %s fits %s", what, e.wanted()), Advice: "start it, or correct name and filters"}
}

func (e *Engine) wanted() string {
	var words []string
	if e.Name != "" {
		words = append(words, fmt.Sprintf("name %q", e.Name))
	}
	for term, values := range e.Filters {
		words = append(words, fmt.Sprintf("%s %q", term, values))
	}
	slices.Sort(words)
	return strings.Join(words, " and ")
}

// explain says what an error of the engine means for the operator.
func (e *Engine) explain(doing string, err error) error {
	if err == nil || errors.As(err, new(*certfleet.Error)) {
		return err
	}
	out := &certfleet.Error{Kind: certfleet.Internal, Msg: doing + " did not succeed", Advice: "correct what the Docker Engine says", Err: err}
	var op *net.OpError
	switch {
	case errors.Is(err, fs.ErrPermission):
		out.Kind, out.Msg, out.Advice = certfleet.Denied, "the Docker Engine's socket may not be used", "let the user that certfleet runs as use "+e.Host
	case errors.Is(err, context.DeadlineExceeded):
		out.Kind, out.Advice = certfleet.Unreachable, "allow it more time, or look at what keeps the engine"
	case client.IsErrConnectionFailed(err), errors.As(err, &op):
		out.Kind, out.Msg, out.Advice = certfleet.Unreachable, "the Docker Engine does not answer at "+e.Host, "start it, or correct host"
	}
	return out
}
