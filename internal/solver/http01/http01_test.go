package http01

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/trial"
)

var _ certfleet.Solver = (*Solver)(nil)

type hit struct {
	token, client string
	known         bool
}

// start serves a handler that knows the token "known" and fails for "broken".
func start(t *testing.T, trusted ...netip.Prefix) (url string, hits chan hit) {
	hits = make(chan hit, 8)
	h := &Handler{
		Lookup: func(_ context.Context, token string) (string, bool, error) {
			if token == "broken" {
				return "", false, errors.New("database is locked")
			}
			return "known.thumbprint", token == "known", nil
		},
		Hit:     func(token, client string, known bool) { hits <- hit{token, client, known} },
		Trusted: trusted,
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := NewServer(h)
	done := make(chan error, 1)
	go func() { done <- s.Serve(ln) }()
	t.Cleanup(func() { s.Close(); <-done })
	return "http://" + ln.Addr().String(), hits
}

func TestConversation(t *testing.T) {
	url, hits := start(t)
	const path = "/.well-known/acme-challenge/"
	for _, c := range []struct {
		method, path string
		status       int
		body, kind   string
		hit          *hit
	}{
		{"GET", path + "known", 200, "known.thumbprint", "application/octet-stream", &hit{"known", "127.0.0.1", true}},
		{"HEAD", path + "known", 200, "", "application/octet-stream", &hit{"known", "127.0.0.1", true}},
		{"GET", path + "ping", 200, `{"message": "pong"}`, "application/json", nil},
		{"GET", path + "unknown", 404, "404 page not found\n", "", &hit{"unknown", "127.0.0.1", false}},
		{"GET", path + "known/more", 404, "404 page not found\n", "", &hit{"", "127.0.0.1", false}},
		{"GET", path, 404, "404 page not found\n", "", &hit{"", "127.0.0.1", false}},
		{"GET", path + strings.Repeat("a", 300), 404, "404 page not found\n", "", &hit{"", "127.0.0.1", false}},
		{"GET", path + "%2e%2e/known", 404, "404 page not found\n", "", &hit{"", "127.0.0.1", false}},
		{"GET", path + "broken", 503, "the answer cannot be looked up now\n", "", nil},
		{"POST", path + "known", 405, "only GET and HEAD are answered here\n", "", nil},
		{"GET", "/", 404, "404 page not found\n", "", nil},
		{"GET", "/.well-known/acme-challengeknown", 404, "404 page not found\n", "", nil},
		{"OPTIONS", "/anything", 404, "404 page not found\n", "", nil},
	} {
		req, _ := http.NewRequest(c.method, url+c.path, nil)
		req.Host = "any.host.test"
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != c.status || string(body) != c.body {
			t.Errorf("%s %s: %d %q; want %d %q", c.method, c.path, resp.StatusCode, body, c.status, c.body)
		}
		if got := resp.Header.Get("Content-Type"); c.kind != "" && got != c.kind {
			t.Errorf("%s %s: content type %q, want %q", c.method, c.path, got, c.kind)
		}
		expectHit(t, c.path, hits, c.hit)
	}
}

// expectHit waits for the hit, which is told after the answer was written.
func expectHit(t *testing.T, what string, hits chan hit, want *hit) {
	t.Helper()
	wait := trial.Patience
	if want == nil {
		wait = 0
	}
	select {
	case got := <-hits:
		if want == nil || got != *want {
			t.Errorf("%s: hit %+v, want %+v", what, got, want)
		}
	case <-time.After(wait):
		if want != nil {
			t.Errorf("%s: no hit was told", what)
		}
	}
}

func TestClientIsTheRightmostUntrusted(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, c := range []struct {
		remote    string
		forwarded []string
		want      string
	}{
		{"203.0.113.5:4711", nil, "203.0.113.5"},
		{"203.0.113.5:4711", []string{"198.51.100.1"}, "203.0.113.5"}, // not a proxy of ours
		{"10.1.1.1:4711", []string{"198.51.100.1"}, "198.51.100.1"},
		{"10.1.1.1:4711", []string{"192.0.2.66, 198.51.100.1"}, "198.51.100.1"}, // the left one is the client's own claim
		{"10.1.1.1:4711", []string{"192.0.2.66", "198.51.100.1, 10.2.2.2"}, "198.51.100.1"},
		{"10.1.1.1:4711", []string{"10.3.3.3, 10.2.2.2"}, "10.3.3.3"},
		{"10.1.1.1:4711", []string{"198.51.100.1, nonsense"}, "10.1.1.1"},
		{"10.1.1.1:4711", []string{""}, "10.1.1.1"},
		{"[fd00::1]:80", []string{"[2001:db8::7]:1234"}, "2001:db8::7"},
		{"[::ffff:10.1.1.1]:80", []string{"198.51.100.1:99"}, "198.51.100.1"},
		{"@", []string{"198.51.100.1"}, "@"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = c.remote
		r.Header["X-Forwarded-For"] = c.forwarded
		if got := Client(r, proxies); got != c.want {
			t.Errorf("from %s with %q: client %s, want %s", c.remote, c.forwarded, got, c.want)
		}
	}
}

func TestForwardedClientReachesTheHit(t *testing.T) {
	url, hits := start(t, netip.MustParsePrefix("127.0.0.0/8"))
	req, _ := http.NewRequest("GET", url+certfleet.ChallengePath+"known", nil)
	req.Header.Set("X-Forwarded-For", "198.51.100.1")
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	expectHit(t, "behind a proxy", hits, &hit{"known", "198.51.100.1", true})
}

func TestLargeRequestsAreRefused(t *testing.T) {
	url, _ := start(t)
	req, _ := http.NewRequest("GET", url+certfleet.ChallengePath+"known", nil)
	req.Header.Set("X-Filler", strings.Repeat("x", 64<<10))
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return // cut off while sending is a refusal too
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("64 KiB of header gave %d", resp.StatusCode)
	}
}

func TestEveryTimeoutIsSet(t *testing.T) {
	s := NewServer(http.NotFoundHandler())
	for what, d := range map[string]time.Duration{"header": s.ReadHeaderTimeout, "read": s.ReadTimeout, "write": s.WriteTimeout, "idle": s.IdleTimeout} {
		if d <= 0 || d > time.Minute {
			t.Errorf("the %s timeout is %v", what, d)
		}
	}
}
