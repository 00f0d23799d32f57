package dnsexec_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/dial"
	"github.com/certfleet/certfleet/internal/dnsq"
	"github.com/certfleet/certfleet/internal/solver/dnsexec"
	"github.com/certfleet/certfleet/internal/solver/solvertest"
	"github.com/certfleet/certfleet/internal/trial"
	"github.com/miekg/dns"
)

var _ certfleet.Waiter = (*dnsexec.Solver)(nil)

// TestMain is also the program: run with an action, it updates the test server
// whose address is its argument.
func TestMain(m *testing.M) {
	if action := os.Getenv("CERTFLEET_ACTION"); action != "" {
		os.Exit(program(action, os.Args[1]))
	}
	os.Exit(m.Run())
}

func program(action, server string) int {
	var line struct{ Action, Name, Record, Value, State string }
	if err := json.NewDecoder(os.Stdin).Decode(&line); err != nil || line.Action != action || line.Record != os.Getenv("CERTFLEET_RECORD") || line.Value != os.Getenv("CERTFLEET_VALUE") || line.Name != os.Getenv("CERTFLEET_NAME") {
		os.Stderr.WriteString("input and environment differ")
		return 2
	}
	rr, _ := dns.NewRR(line.Record + " 0 IN TXT " + strconv.Quote(line.Value))
	m := new(dns.Msg).SetUpdate("example.org.")
	if action == "present" {
		m.Insert([]dns.RR{rr})
	} else {
		m.Remove([]dns.RR{rr})
	}
	m.SetTsig(solvertest.KeyName, dns.HmacSHA256, 300, time.Now().Unix())
	c := dns.Client{Net: "tcp", TsigSecret: map[string]string{solvertest.KeyName: solvertest.KeySecret}}
	in, _, err := c.Exchange(m, server)
	if err != nil || in.Rcode != dns.RcodeSuccess {
		os.Stderr.WriteString("the update was refused")
		return 3
	}
	os.Stdout.WriteString("done\n{\"state\": \"kept\"}\n")
	return 0
}

func self(t *testing.T) string {
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func near(d *solvertest.DNS) dnsq.Config {
	return dnsq.Config{Resolvers: []string{d.Addr()}, AuthorityPort: d.Port, Timeout: certfleet.Duration(trial.Patience)}
}

func TestSuite(t *testing.T) {
	solvertest.Run(t, func(t *testing.T) solvertest.Fixture {
		d := solvertest.Serve(t, solvertest.Zone("example.org.", 2)...)
		again := func(t *testing.T) certfleet.Solver {
			s, err := dnsexec.New(dnsexec.Config{Command: []string{self(t), d.Addr()}, DNS: near(d)}, dial.Deps{})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		return solvertest.Fixture{
			Solver: again(t), Again: again, Values: d.Values,
			Record: func(c certfleet.Challenge) string { return c.DNSName() },
			Put:    func(t *testing.T, record, value string) { d.SetTXT(t, record, value) },
		}
	})
}

// script makes a solver of a shell script.
func script(t *testing.T, body string, more func(*dnsexec.Config)) *dnsexec.Solver {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hook")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	c := dnsexec.Config{Command: []string{path}, NoFollow: true}
	if more != nil {
		more(&c)
	}
	s, err := dnsexec.New(c, dial.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestCleanUpGoesWherePresentWent(t *testing.T) {
	const record = "_acme-challenge.www.example.org."
	d := solvertest.Serve(t, append(solvertest.Zone("example.org.", 1), record+" 0 IN CNAME there.example.org.")...)
	note := filepath.Join(t.TempDir(), "note")
	s := script(t, `echo "$CERTFLEET_ACTION $CERTFLEET_RECORD $CERTFLEET_STATE" >> `+note+`; echo '{"state":"id-7"}'`,
		func(c *dnsexec.Config) { c.NoFollow, c.DNS = false, near(d) })
	c := solvertest.Challenge(t, "a")
	state, err := s.Present(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	d.Fail("", "", dns.RcodeServerFailure) // the record is known: nobody needs to be asked
	if err := s.CleanUp(t.Context(), c, state); err != nil {
		t.Fatal(err)
	}
	got, _ := os.ReadFile(note)
	if want := "present there.example.org. \ncleanup there.example.org. id-7\n"; string(got) != want {
		t.Errorf("the program was run with %q, want %q", got, want)
	}
}

func TestOnlyTheNamedEnvironmentIsPassed(t *testing.T) {
	t.Setenv("SEALING_KEY", "must-stay-here")
	t.Setenv("API_TOKEN_SOURCE", "token-value")
	note := filepath.Join(t.TempDir(), "note")
	s := script(t, "env > "+note, func(c *dnsexec.Config) { c.Env = map[string]string{"API_TOKEN": "env:API_TOKEN_SOURCE"} })
	if _, err := s.Present(t.Context(), solvertest.Challenge(t, "a")); err != nil {
		t.Fatal(err)
	}
	env, _ := os.ReadFile(note)
	if strings.Contains(string(env), "must-stay-here") || !strings.Contains(string(env), "API_TOKEN=token-value\n") {
		t.Errorf("the program saw %s", env)
	}
}

func TestFailureQuotesTheProgramWithoutSecrets(t *testing.T) {
	t.Setenv("API_TOKEN_SOURCE", "token-value")
	s := script(t, `echo "zone is locked, token $API_TOKEN" >&2; exit 3`,
		func(c *dnsexec.Config) { c.Env = map[string]string{"API_TOKEN": "env:API_TOKEN_SOURCE"} })
	_, err := s.Present(t.Context(), solvertest.Challenge(t, "a"))
	if err == nil || !strings.Contains(err.Error(), "exit status 3: zone is locked, token [API_TOKEN]") || strings.Contains(err.Error(), "token-value") {
		t.Errorf("the error is %v", err)
	}
	if certfleet.AdviceOf(err) == "" {
		t.Error("the error has no advice")
	}
}

func TestTimeoutKillsTheWholeGroup(t *testing.T) {
	note := filepath.Join(t.TempDir(), "pid")
	s := script(t, "sleep 60 & echo $! > "+note+"; wait", func(c *dnsexec.Config) { c.Timeout = certfleet.Duration(2 * time.Second) })
	begin := time.Now()
	_, err := s.Present(t.Context(), solvertest.Challenge(t, "a"))
	if err == nil || !strings.Contains(err.Error(), "stopped after 2s") || time.Since(begin) > trial.Patience/2 {
		t.Fatalf("after %v: %v", time.Since(begin), err)
	}
	b, _ := os.ReadFile(note)
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	if !gone(pid) {
		t.Errorf("process %d, which the program started, still runs", pid)
	}
}

// gone waits until a killed process is no more, or only its entry is left.
func gone(pid int) bool {
	for end := time.Now().Add(trial.Patience); time.Now().Before(end); {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if syscall.Kill(pid, 0) != nil || err != nil || strings.Contains(string(stat), ") Z ") {
			return true
		}
		time.Sleep(20 * time.Millisecond)
	}
	return false
}

func TestReadyByProgram(t *testing.T) {
	for _, c := range []struct {
		body, seen string
		ready      bool
		fails      bool
	}{
		{`exit 0`, "gave no details", true, false},
		{`echo '{"ready":true,"seen":"at 4 of 4"}'`, "at 4 of 4", true, false},
		{`echo '{"ready":false,"seen":"at 1 of 4"}'`, "at 1 of 4", false, false},
		{`echo "queued behind 3" >&2; exit 1`, "not yet: queued behind 3", false, false},
		{`exit 4`, "", false, true},
	} {
		s := script(t, c.body, func(conf *dnsexec.Config) { conf.Ready = dnsexec.ReadyProgram })
		ok, seen, err := s.Ready(t.Context(), solvertest.Challenge(t, "a"), nil)
		if ok != c.ready || (err != nil) != c.fails || !strings.Contains(seen, c.seen) {
			t.Errorf("%s: ready %v, seen %q, %v", c.body, ok, seen, err)
		}
	}
}

func TestNewRefusesWithAdvice(t *testing.T) {
	for _, c := range []dnsexec.Config{
		{},
		{Command: []string{"/no/such/program"}},
		{Command: []string{"/bin/sh"}, Ready: "perhaps"},
	} {
		if _, err := dnsexec.New(c, dial.Deps{}); certfleet.KindOf(err) != certfleet.Invalid || certfleet.AdviceOf(err) == "" {
			t.Errorf("%+v gave %v", c, err)
		}
	}
}
