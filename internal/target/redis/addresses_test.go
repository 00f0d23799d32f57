package redis

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/target/targettest"
)

// TestEdgesAreAskedForNoAddress has an edge that knows host names alone, as ours do.
func TestEdgesAreAskedForNoAddress(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var asked []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		route := strings.TrimPrefix(r.URL.Path, expirePath)
		if asked = append(asked, route); route != "/domain/shop.example.com" {
			w.WriteHeader(http.StatusNotFound)
		}
		fmt.Fprint(w, `{"result": "success", "server_version": "1.0.0"}`)
	}))
	t.Cleanup(s.Close)
	p := newPlace(t, Config{Edges: []Edge{{URL: s.URL}}})
	r, err := p.Deliver(t.Context(), []certfleet.Bundle{targettest.Bundle(t, "shop", 1, "192.0.2.1", "2001:db8::1", "shop.example.com")}, nil)
	if err != nil || r[0].Err != nil {
		t.Errorf("delivered with %v, %v", err, r[0].Err)
	}
	for names, want := range map[string]int{"192.0.2.1 shop.example.com": 1, "192.0.2.1": 0} {
		before := len(asked)
		got, err := p.FlushEdges(t.Context(), strings.Fields(names)...)
		if err != nil || got[0].Err != nil || len(asked) != before+want {
			t.Errorf("%s: %+v, %v; asked %q", names, got, err, asked[before:])
		}
	}
	if slices.ContainsFunc(asked, func(a string) bool { return a != "/domain/shop.example.com" }) {
		t.Errorf("asked %q", asked)
	}
}
