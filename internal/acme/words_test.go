package acme

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/certfleet/certfleet"
)

func TestProblemsAreSortedByHowTheyAreHandled(t *testing.T) {
	for _, row := range []struct {
		name   string
		status int
		want   certfleet.Kind
	}{
		{"rateLimited", 429, certfleet.Limited}, {"rateLimited", 503, certfleet.Limited}, {"", 429, certfleet.Limited},
		{"serverInternal", 500, certfleet.Unreachable}, {"", 504, certfleet.Unreachable}, {"", 302, certfleet.Unreachable},
		{"accountDoesNotExist", 400, certfleet.NotFound}, {"malformed", 404, certfleet.NotFound},
		{"alreadyReplaced", 409, certfleet.Conflict}, {"orderNotReady", 403, certfleet.Conflict}, {"", 409, certfleet.Conflict},
		{"unauthorized", 403, certfleet.Denied}, {"userActionRequired", 403, certfleet.Denied}, {"", 401, certfleet.Denied},
		{"malformed", 400, certfleet.Invalid}, {"rejectedIdentifier", 400, certfleet.Invalid},
	} {
		p := &Problem{Status: row.status}
		if row.name != "" {
			p.Type = problemPrefix + row.name
		}
		if got := p.Kind(); got != row.want {
			t.Errorf("%d %s is %s, want %s", row.status, row.name, got, row.want)
		}
		if !Is(fmt.Errorf("x: %w", p), p.Name()) || Is(errors.New(row.name), row.name) {
			t.Errorf("Is does not find %q in a chain, or finds it where it is not", row.name)
		}
	}
}

func TestURLsAreShownWithoutTheirSecrets(t *testing.T) {
	for in, want := range map[string]string{
		"https://ca.example/order/1":                                 "https://ca.example/order/1",
		"https://user:hunter2@ca.example/dir?key=hunter2#x":          "https://ca.example/dir?...",
		"http://x.example/.well-known/acme-challenge/hunter2hunter2": "http://x.example/.well-known/acme-challenge/[removed]",
		"": "",
	} {
		if got := plainURL(in); got != want {
			t.Errorf("%s is shown as %s", in, got)
		}
	}
}

func TestOnlyAFetchFollowsARedirect(t *testing.T) {
	var hits []string
	mux := http.NewServeMux()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hits = append(hits, r.Method+" "+r.URL.Path)
		mux.ServeHTTP(w, r)
	}))
	defer srv.Close()
	mux.Handle("/old", http.RedirectHandler("/new", http.StatusMovedPermanently))
	mux.HandleFunc("/new", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"newNonce":"%[1]s/nonce","newAccount":"%[1]s/acct","newOrder":"%[1]s/order"}`, srv.URL)
	})
	mux.Handle("/nonce", http.RedirectHandler("/elsewhere", http.StatusFound))
	mux.Handle("/loop", http.RedirectHandler("/loop", http.StatusFound))
	mux.HandleFunc("/elsewhere", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "no") })

	c := New(Options{DirectoryURL: srv.URL + "/old"})
	if _, err := c.Directory(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.nonce(t.Context()); err == nil {
		t.Error("a nonce was fetched through a redirect")
	}
	if n := len(hits); n != 3 || hits[2] != "HEAD /nonce" {
		t.Errorf("requests: %q", hits)
	}
	if _, err := New(Options{DirectoryURL: srv.URL + "/loop"}).Directory(t.Context()); err == nil || len(hits) > 8 {
		t.Errorf("a loop gave %v after %d requests", err, len(hits))
	}
}
