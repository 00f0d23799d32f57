package dial

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/certfleet/certfleet"
)

func TestGuardTellsPublicFromPrivate(t *testing.T) {
	g, _ := NewGuard([]string{"10.1.0.0/16", "::1"})
	for addr, want := range map[string]bool{
		"8.8.8.8": true, "1.1.1.1": true, "2606:4700::1": true, "172.32.0.1": true, "100.128.0.1": true,
		"127.0.0.1": false, "127.9.9.9": false, "0.0.0.0": false, "::": false, "10.0.0.1": false, "172.16.0.1": false,
		"192.168.1.1": false, "169.254.169.254": false, "100.64.0.1": false, "224.0.0.1": false, "255.255.255.255": false,
		"fe80::1%eth0": false, "fd00::1": false, "fd00:ec2::254": false, "ff02::1": false, "fec0::1": false,
		"::ffff:127.0.0.1": false, "::ffff:169.254.169.254": false, "::ffff:8.8.8.8": true, "::127.0.0.1": false,
		"64:ff9b::7f00:1": false, "64:ff9b::808:808": true, "2002:7f00:1::": false, "2002:808:808::1": true, "2001::1": false,
		"10.1.2.3": true, "::ffff:10.1.2.3": true, "10.2.0.1": false, "::1": true,
	} {
		err := g.Check(netip.MustParseAddr(addr))
		if (err == nil) != want {
			t.Errorf("%s: allowed=%v, want %v", addr, err == nil, want)
		}
		if err != nil && (certfleet.KindOf(err) != certfleet.Denied || certfleet.AdviceOf(err) == "") {
			t.Errorf("%s: %v has no kind or advice", addr, err)
		}
	}
}

func TestGuardRefusesWhatIsNoNetwork(t *testing.T) {
	for _, s := range []string{"", "10.0.0.0/99", "example.com"} {
		if _, err := NewGuard([]string{s}); certfleet.AdviceOf(err) == "" {
			t.Errorf("%q: got %v, want advice", s, err)
		}
	}
}

func TestClientRefusesLoopbackByNameAndAddress(t *testing.T) {
	hits := 0
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits++ }))
	defer srv.Close()
	for _, u := range []string{srv.URL, strings.Replace(srv.URL, "127.0.0.1", "localhost", 1)} {
		_, err := new(Guard).Client(nil).Get(u)
		if e, ok := errors.AsType[*certfleet.Error](err); !ok || e.Kind != certfleet.Denied {
			t.Errorf("%s: got %v, want a denial", u, err)
		}
	}
	if hits != 0 {
		t.Errorf("the server was reached %d times", hits)
	}
}

func TestClientChecksWhereRedirectsLead(t *testing.T) {
	inner := httptest.NewServer(http.NotFoundHandler())
	defer inner.Close()
	to := strings.Replace(inner.URL, "127.0.0.1", "127.0.0.2", 1)
	outer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/inside":
			http.Redirect(w, r, to, http.StatusFound)
		case "/file":
			http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
		default:
			http.Redirect(w, r, "/again", http.StatusFound)
		}
	}))
	defer outer.Close()
	g, _ := NewGuard([]string{"127.0.0.1"})
	for path, want := range map[string]string{"/inside": "not public", "/file": "scheme", "/again": "redirects"} {
		if _, err := g.Client(nil).Get(outer.URL + path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", path, err, want)
		}
	}
}

func TestClientBoundsTheBody(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.Copy(w, io.LimitReader(zeros{}, MaxBody+1))
	}))
	defer srv.Close()
	g, _ := NewGuard([]string{"127.0.0.1"})
	resp, err := g.Client(nil).Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if n, err := io.Copy(io.Discard, resp.Body); err == nil || n != MaxBody {
		t.Errorf("read %d bytes, %v; want an error after %d", n, err, MaxBody)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestLimitBodyAllowsExactlyItsLimit(t *testing.T) {
	b, err := io.ReadAll(LimitBody(io.NopCloser(strings.NewReader("12345")), 5))
	if err != nil || string(b) != "12345" {
		t.Errorf("got %q, %v", b, err)
	}
}

func TestDialRefusesUnixSockets(t *testing.T) {
	if _, err := new(Guard).Dial(context.Background(), "unix", filepath.Join(t.TempDir(), "s")); certfleet.KindOf(err) != certfleet.Denied {
		t.Errorf("got %v, want a denial", err)
	}
}

func TestReferenceOpensFilesAndEnvironment(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	os.WriteFile(file, []byte(" hunter2 \n"), 0o600)
	t.Setenv("CERTFLEET_TEST_SECRET", "from env")
	for ref, want := range map[string]string{"file:" + file: " hunter2 ", "env:CERTFLEET_TEST_SECRET": "from env"} {
		if got, err := Reference(ref); err != nil || string(got) != want {
			t.Errorf("%s: got %q, %v", ref, []byte(got), err)
		}
	}
}

func TestReferenceNeverRepeatsABareValue(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	os.WriteFile(empty, []byte("\n"), 0o600)
	for _, ref := range []string{"", "hunter2", "pass:hunter2", "file:", "env:", "env:CERTFLEET_NOT_SET", "file:/not/there", "file:" + empty, "file:" + t.TempDir()} {
		_, err := Reference(ref)
		if certfleet.AdviceOf(err) == "" || strings.Contains(fmt.Sprint(err), "hunter2") {
			t.Errorf("%q: got %v", ref, err)
		}
	}
}
