package rfc2136_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/dial"
	"github.com/certfleet/certfleet/internal/dnsq"
	"github.com/certfleet/certfleet/internal/solver/rfc2136"
	"github.com/certfleet/certfleet/internal/solver/solvertest"
	"github.com/certfleet/certfleet/internal/trial"
)

var _ certfleet.Waiter = (*rfc2136.Solver)(nil)

func config(t *testing.T, d *solvertest.DNS) rfc2136.Config {
	path := filepath.Join(t.TempDir(), "tsig")
	if err := os.WriteFile(path, []byte(solvertest.KeySecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return rfc2136.Config{
		Server: d.Addr(), Key: "update-key", SecretRef: "file:" + path,
		DNS: dnsq.Config{Resolvers: []string{d.Addr()}, AuthorityPort: d.Port, Timeout: certfleet.Duration(trial.Patience)},
	}
}

func solver(t *testing.T, c rfc2136.Config) certfleet.Solver {
	t.Helper()
	s, err := rfc2136.New(c, dial.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSuite(t *testing.T) {
	solvertest.Run(t, func(t *testing.T) solvertest.Fixture {
		d := solvertest.Serve(t, solvertest.Zone("example.org.", 2)...)
		again := func(t *testing.T) certfleet.Solver { return solver(t, config(t, d)) }
		return solvertest.Fixture{
			Solver: again(t), Again: again, Values: d.Values,
			Record: func(c certfleet.Challenge) string { return c.DNSName() },
			Put:    func(t *testing.T, record, value string) { d.SetTXT(t, record, value) },
		}
	})
}

func TestSuiteBehindACNAME(t *testing.T) {
	solvertest.Run(t, func(t *testing.T) solvertest.Fixture {
		d := solvertest.Serve(t, append(solvertest.Zone("example.org.", 1), solvertest.Zone("acme.test.", 2)...)...)
		d.Add(t, "_acme-challenge.www.example.org. 0 IN CNAME www-example-org.acme.test.")
		again := func(t *testing.T) certfleet.Solver { return solver(t, config(t, d)) }
		return solvertest.Fixture{
			Solver: again(t), Again: again, Values: d.Values,
			Record: func(certfleet.Challenge) string { return "www-example-org.acme.test." },
			Put:    func(t *testing.T, record, value string) { d.SetTXT(t, record, value) },
		}
	})
}

func TestCleanUpGoesWherePresentWent(t *testing.T) {
	d := solvertest.Serve(t, append(solvertest.Zone("example.org.", 1), solvertest.Zone("acme.test.", 1)...)...)
	s, c := solver(t, config(t, d)), solvertest.Challenge(t, "a")
	state, err := s.Present(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	d.Add(t, c.DNSName()+" 0 IN CNAME moved.acme.test.")
	if err := s.CleanUp(t.Context(), c, state); err != nil {
		t.Fatal(err)
	}
	if left := d.Values(c.DNSName()); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestRefusalsSayWhatToDo(t *testing.T) {
	d := solvertest.Serve(t, solvertest.Zone("example.org.", 1)...)
	t.Setenv("WRONG_SECRET", "d3Jvbmc=")
	t.Setenv("NO_BASE64", "***")
	for _, c := range []struct {
		what   string
		change func(*rfc2136.Config)
		advice string
	}{
		{"wrong secret", func(c *rfc2136.Config) { c.SecretRef = "env:WRONG_SECRET" }, "knows the key"},
		{"unknown key", func(c *rfc2136.Config) { c.Key = "other" }, "knows the key"},
		{"foreign zone", func(c *rfc2136.Config) { c.Zone = "elsewhere.test" }, "primary for the zone"},
		{"no base64", func(c *rfc2136.Config) { c.SecretRef = "env:NO_BASE64" }, "copy the secret alone"},
		{"server is down", func(c *rfc2136.Config) { c.Zone, c.Server = "example.org", "127.0.0.1:1" }, "over TCP"},
	} {
		conf := config(t, d)
		c.change(&conf)
		_, err := solver(t, conf).Present(t.Context(), solvertest.Challenge(t, "a"))
		if err == nil || !strings.Contains(certfleet.AdviceOf(err), c.advice) {
			t.Errorf("%s: %v; advice %q, want %q", c.what, err, certfleet.AdviceOf(err), c.advice)
		}
		if err != nil && (strings.Contains(err.Error(), "d3Jvbmc") || strings.Contains(err.Error(), "***")) {
			t.Errorf("%s: the error shows the secret: %v", c.what, err)
		}
	}
}

func TestEveryAlgorithmIsAccepted(t *testing.T) {
	d := solvertest.Serve(t, solvertest.Zone("example.org.", 1)...)
	for _, a := range []string{"hmac-sha256", "HMAC-SHA512.", "hmac-sha384", "hmac-sha224", "hmac-sha1"} {
		conf := config(t, d)
		conf.Algorithm = a
		if _, err := solver(t, conf).Present(t.Context(), solvertest.Challenge(t, a)); err != nil {
			t.Errorf("%s: %v", a, err)
		}
	}
	if n := len(d.Values("_acme-challenge.www.example.org.")); n != 5 {
		t.Errorf("%d of 5 values arrived", n)
	}
}

func TestReadyWaitsForTheSecondary(t *testing.T) {
	d := solvertest.Serve(t, solvertest.Zone("example.org.", 2)...)
	s, c := solver(t, config(t, d)), solvertest.Challenge(t, "a")
	if _, err := s.Present(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	d.Fail("127.0.0.2", c.DNSName(), solvertest.Hide)
	ok, seen, err := s.(certfleet.Waiter).Ready(t.Context(), c, nil)
	if ok || err != nil || !strings.Contains(seen, "ns2.example.org. (127.0.0.2) has no such record") {
		t.Errorf("ready %v, seen %q, %v", ok, seen, err)
	}
}

func TestUnsignedAnswerIsNotBelieved(t *testing.T) {
	d := solvertest.Serve(t, solvertest.Zone("example.org.", 1)...)
	d.Fail("", "", solvertest.Unsigned)
	_, err := solver(t, config(t, d)).Present(t.Context(), solvertest.Challenge(t, "a"))
	if err == nil || !strings.Contains(err.Error(), "not signed") {
		t.Errorf("got %v", err)
	}
}

func TestNewRefusesWithAdvice(t *testing.T) {
	good := rfc2136.Config{Server: "ns1.example.org", Key: "k", SecretRef: "env:X"}
	for what, change := range map[string]func(*rfc2136.Config){
		"server":    func(c *rfc2136.Config) { c.Server = "" },
		"key":       func(c *rfc2136.Config) { c.Key = "" },
		"secret":    func(c *rfc2136.Config) { c.SecretRef = "" },
		"algorithm": func(c *rfc2136.Config) { c.Algorithm = "md5" },
	} {
		c := good
		change(&c)
		if _, err := rfc2136.New(c, dial.Deps{}); certfleet.AdviceOf(err) == "" {
			t.Errorf("without a good %s: %v", what, err)
		}
	}
	if _, err := rfc2136.New(good, dial.Deps{}); err != nil {
		t.Error(err)
	}
}
