package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/certfleet/certfleet/dns/catalogue"
	"github.com/go-acme/lego/v5/providers/dns"
)

// TestMain is also the program itself.
func TestMain(m *testing.M) {
	if os.Getenv("RUN_CERTFLEET_DNS") == "1" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// program runs certfleet-dns and answers with its standard output and error.
func program(args ...string) (string, string, error) {
	c := exec.Command(os.Args[0], args...)
	c.Env = []string{"RUN_CERTFLEET_DNS=1"}
	var out, errs strings.Builder
	c.Stdout, c.Stderr = &out, &errs
	err := c.Run()
	return out.String(), errs.String(), err
}

// talk is a running child.
type talk struct {
	t     *testing.T
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines *bufio.Scanner
}

func start(t *testing.T, provider string, env ...string) *talk {
	t.Helper()
	c := exec.Command(os.Args[0], "serve", provider, "--resolvers", "127.0.0.1:1") // nobody follows a CNAME here
	c.Env = append([]string{"RUN_CERTFLEET_DNS=1", "PATH=" + os.Getenv("PATH")}, env...)
	in, _ := c.StdinPipe()
	out, _ := c.StdoutPipe()
	c.Stderr = os.Stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	k := &talk{t: t, cmd: c, in: in, lines: bufio.NewScanner(out)}
	t.Cleanup(func() { c.Process.Kill(); c.Wait() })
	return k
}

func (k *talk) hear() map[string]any {
	k.t.Helper()
	if !k.lines.Scan() {
		k.t.Fatal("the program said nothing more")
	}
	var got map[string]any
	if err := json.Unmarshal(k.lines.Bytes(), &got); err != nil {
		k.t.Fatalf("the program said %q, which is not JSON", k.lines.Text())
	}
	return got
}

func (k *talk) ask(id int, op, token string) map[string]any {
	k.t.Helper()
	fmt.Fprintf(k.in, `{"id":%d,"op":%q,"domain":"www.example.org","token":%q,"key_auth":"key-auth","timeout_ms":10000}`+"\n", id, op, token)
	return k.hear()
}

// api is a server for lego's httpreq provider.
func api(t *testing.T) (url string, calls func() []string) {
	var mu sync.Mutex
	var got []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		user, _, _ := r.BasicAuth()
		mu.Lock()
		defer mu.Unlock()
		got = append(got, user+" "+r.URL.Path+" "+strings.TrimSpace(string(body)))
	}))
	t.Cleanup(s.Close)
	return s.URL, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return append([]string(nil), got...)
	}
}

func TestHTTPReqProvider(t *testing.T) {
	url, calls := api(t)
	k := start(t, "httpreq", "HTTPREQ_ENDPOINT="+url, "HTTPREQ_USERNAME=user", "HTTPREQ_PASSWORD=pass")
	if h := k.hear()["hello"].(map[string]any); h["provider"] != "httpreq" || h["protocol"] != 1.0 {
		t.Fatalf("hello is %v", h)
	}
	for i, op := range []string{"present", "cleanup"} {
		if got := k.ask(i+1, op, "t"); got["error"] != nil || got["id"] != float64(i+1) {
			t.Errorf("%s: %v", op, got)
		}
	}
	sum := sha256.Sum256([]byte("key-auth"))
	body := fmt.Sprintf(`{"fqdn":"_acme-challenge.www.example.org.","value":"%s"}`, base64.RawURLEncoding.EncodeToString(sum[:]))
	if got := calls(); !slices.Equal(got, []string{"user /present " + body, "user /cleanup " + body}) {
		t.Errorf("the API was called with %q", got)
	}
}

func TestParentsDeathCleansUp(t *testing.T) {
	url, calls := api(t)
	k := start(t, "httpreq", "HTTPREQ_ENDPOINT="+url)
	k.hear()
	k.ask(1, "present", "t")
	k.cmd.Process.Signal(syscall.SIGTERM) // as a service manager sends it to all
	k.in.Close()
	if err := k.cmd.Wait(); err != nil {
		t.Errorf("the program ended with %v", err)
	}
	if got := calls(); len(got) != 2 || !strings.Contains(got[1], "/cleanup") {
		t.Errorf("the API was called with %q", got)
	}
}

// TestExecProvider shows too that what lego logs stays out of the protocol.
func TestExecProvider(t *testing.T) {
	dir := t.TempDir()
	hook, note := filepath.Join(dir, "hook"), filepath.Join(dir, "note")
	if err := os.WriteFile(hook, []byte("#!/bin/sh\necho chatter\necho \"$1 $2\" >> "+note+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	k := start(t, "exec", "EXEC_PATH="+hook)
	k.hear()
	for i, op := range []string{"present", "cleanup"} {
		if got := k.ask(i+1, op, "t"); got["error"] != nil {
			t.Errorf("%s: %v", op, got)
		}
	}
	got, _ := os.ReadFile(note)
	if want := "present _acme-challenge.www.example.org.\ncleanup _acme-challenge.www.example.org.\n"; string(got) != want {
		t.Errorf("the hook was run with %q, want %q", got, want)
	}
}

func TestMissingCredentialsAreToldAtOnce(t *testing.T) {
	k := start(t, "cloudflare")
	if e, _ := k.hear()["error"].(string); !strings.Contains(e, "CLOUDFLARE") {
		t.Errorf("the program said %q", e)
	}
	k = start(t, "cloudflar")
	if e, _ := k.hear()["error"].(string); !strings.Contains(e, "did you mean cloudflare?") {
		t.Errorf("the program said %q", e)
	}
}

// TestCatalogueNamesAreProviders keeps the catalogue in step with what is linked.
func TestCatalogueNamesAreProviders(t *testing.T) {
	all, err := catalogue.All()
	if err != nil || len(all) < 200 {
		t.Fatalf("%d providers, %v", len(all), err)
	}
	for _, e := range all {
		for _, name := range append(e.Aliases, e.Name) {
			_, err := dns.NewDNSChallengeProviderByName(name)
			if err != nil && strings.Contains(err.Error(), "unrecognized") {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestWordsForPeople(t *testing.T) {
	out, _, err := program("list")
	if err != nil || !strings.Contains(out, "\nroute53\n") || strings.Contains(out, "manual") {
		t.Errorf("list: %v\n%s", err, out)
	}
	out, _, err = program("help", "cloudflare")
	if err != nil || !strings.Contains(out, "  CLOUDFLARE_DNS_API_TOKEN\n") || !strings.Contains(out, "https://") {
		t.Errorf("help cloudflare: %v\n%s", err, out)
	}
	if out, _, err = program("help"); err != nil || !strings.Contains(out, "list") {
		t.Errorf("help: %v\n%s", err, out)
	}
	if _, errs, err := program("dance"); err == nil || !strings.Contains(errs, "certfleet-dns help") {
		t.Errorf("dance: %v\n%s", err, errs)
	}
}
