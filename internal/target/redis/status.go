package redis

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/certfleet/certfleet"
)

// beside is the status route of a module whose expire route is at path.
func beside(path string) string {
	if root, ok := strings.CutSuffix(path, "/expire"); ok {
		return root + "/status"
	}
	return path + "/status"
}

// AskEdges asks all edges at once how their caches stand, and waits for each.
func (t *Target) AskEdges(ctx context.Context) []certfleet.EdgeAnswer {
	return t.eachEdge(func(e edge) certfleet.EdgeAnswer { return e.get(ctx, e.StatusPath) })
}

// FlushEdges has all edges forget their caches, or the names alone if there are
// any: by a message through Redis, and each over HTTP. A Redis that does not answer
// stops none of the requests.
func (t *Target) FlushEdges(ctx context.Context, names ...string) ([]certfleet.EdgeAnswer, error) {
	said := names
	if len(names) == 0 {
		said = []string{"*"}
	}
	err := t.publishNow(ctx, said)
	return t.eachEdge(func(e edge) certfleet.EdgeAnswer { return e.forget(ctx, names) }), err
}

// forget is one edge's answer to the last request that was needed. A module that
// is known to keep single names is flushed.
func (e edge) forget(ctx context.Context, names []string) certfleet.EdgeAnswer {
	named := hosts(names)
	if len(names) == 0 || len(named) > oneByOne {
		return e.get(ctx, e.Path+"/all")
	}
	a := certfleet.EdgeAnswer{URL: e.URL}
	for _, n := range named {
		a = e.get(ctx, e.Path+"/domain/"+n)
		if a.Err == nil && strings.HasPrefix(a.Version, "0.") {
			return e.get(ctx, e.Path+"/all")
		}
		if a.Err != nil {
			break
		}
	}
	return a
}

func (t *Target) publishNow(ctx context.Context, names []string) error {
	db, err := t.open(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	return t.publish(ctx, db, names)
}

func (t *Target) eachEdge(do func(edge) certfleet.EdgeAnswer) []certfleet.EdgeAnswer {
	answers := make([]certfleet.EdgeAnswer, len(t.edges))
	var group sync.WaitGroup
	for i, e := range t.edges {
		group.Go(func() { answers[i] = do(e) })
	}
	group.Wait()
	return answers
}

// get sends one request. The original's modules compare the whole request URI, so
// a path has no query.
func (e edge) get(ctx context.Context, path string) certfleet.EdgeAnswer {
	a := certfleet.EdgeAnswer{URL: e.URL}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.URL+path, nil)
	if err != nil {
		a.Err = fmt.Errorf("ask edge %s: %w", e.URL, err)
		return a
	}
	if e.User != "" || len(e.password) > 0 {
		req.SetBasicAuth(e.User, string(e.password))
	}
	resp, err := e.client.Do(req)
	if err != nil {
		a.Err = fmt.Errorf("ask edge: %w", err)
		return a
	}
	defer resp.Body.Close()
	a.Status = resp.StatusCode
	if a.Body, err = io.ReadAll(io.LimitReader(resp.Body, maxEdgeAnswer)); err != nil {
		a.Err = fmt.Errorf("ask edge %s: read answer: %w", e.URL, err)
		return a
	}
	a.Version, a.Err = e.understood(a, path)
	return a
}

// understood is the version of the module that answered, where it says success.
func (e edge) understood(a certfleet.EdgeAnswer, path string) (string, error) {
	var said struct {
		Result  string `json:"result"`
		Version string `json:"server_version"`
	}
	if a.Status != http.StatusOK || json.Unmarshal(a.Body, &said) != nil || said.Result != "success" {
		return "", fmt.Errorf("ask edge %s: it answered %d to %s", e.URL, a.Status, path)
	}
	return cmp.Or(said.Version, "0."), nil // the oldest modules do not name theirs
}
