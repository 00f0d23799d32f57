package lego

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/dial"
	"github.com/certfleet/certfleet/internal/solver/solvertest"
	"github.com/certfleet/certfleet/internal/trial"
)

var _ certfleet.Waiter = (*Solver)(nil)

func TestSuite(t *testing.T) {
	solvertest.Run(t, func(t *testing.T) solvertest.Fixture {
		l := newLab(t, "")
		return solvertest.Fixture{
			Solver: l.solver(t), Again: func(t *testing.T) certfleet.Solver { return l.solver(t) }, Values: l.dns.Values,
			Record: func(c certfleet.Challenge) string { return c.DNSName() },
			Put:    func(t *testing.T, record, value string) { l.dns.SetTXT(t, record, value) },
		}
	})
}

func TestOneChildServesManyCalls(t *testing.T) {
	l := newLab(t, "")
	s := l.solver(t)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			c := solvertest.Challenge(t, fmt.Sprint(i))
			if _, err := s.Present(t.Context(), c); err != nil {
				t.Error(err)
			}
			if err := s.CleanUp(t.Context(), c, nil); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := l.count("started"); n != 1 {
		t.Errorf("%d children were started", n)
	}
	if l.count("started serve fake --resolvers "+l.dns.Addr()) != 1 {
		t.Error("the child was not told the provider and the resolvers")
	}
	if left := l.dns.Values("_acme-challenge.www.example.org."); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestClosedSolverLeavesNothingBehind(t *testing.T) {
	l := newLab(t, "")
	s := l.solver(t)
	c := solvertest.Challenge(t, "a")
	if _, err := s.Present(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if left := l.dns.Values(c.DNSName()); len(left) > 0 || l.count("ended") != 1 {
		t.Errorf("left behind: %q; %d children ended by themselves", left, l.count("ended"))
	}
	if _, err := s.Present(t.Context(), c); err == nil {
		t.Error("a closed solver presented")
	}
}

func TestDeadChildIsReplaced(t *testing.T) {
	l := newLab(t, "")
	s := l.solver(t)
	c := solvertest.Challenge(t, "a")
	state, err := s.Present(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	syscall.Kill(s.child.cmd.Process.Pid, syscall.SIGKILL)
	<-s.child.exited
	l.dns.SetTXT(t, c.DNSName()) // as if it had cleaned up
	ok, seen, err := s.Ready(t.Context(), c, state)
	if ok || err != nil || !strings.Contains(seen, "presented again") {
		t.Errorf("ready %v, seen %q, %v", ok, seen, err)
	}
	if ok, seen, err := s.Ready(t.Context(), c, state); !ok || err != nil {
		t.Errorf("then ready %v, seen %q, %v", ok, seen, err)
	}
	if err := s.CleanUp(t.Context(), c, state); err != nil || len(l.dns.Values(c.DNSName())) > 0 {
		t.Errorf("clean up: %v, left %q", err, l.dns.Values(c.DNSName()))
	}
	if l.count("started") != 2 {
		t.Errorf("%d children were started", l.count("started"))
	}
}

func TestIdleChildIsLetGo(t *testing.T) {
	l := newLab(t, "")
	s := l.solver(t)
	s.idle = 20 * time.Millisecond
	c := solvertest.Challenge(t, "a")
	s.Present(t.Context(), c)
	time.Sleep(200 * time.Millisecond)
	if l.count("ended") != 0 {
		t.Error("a child was let go that has a record at its provider")
	}
	if err := s.CleanUp(t.Context(), c, nil); err != nil {
		t.Fatal(err)
	}
	trial.Until(t, "the idle child ends", func() (bool, string) { n := l.count("ended"); return n == 1, fmt.Sprint(n, " have ended") })
}

func TestFailuresAreToldWithoutSecrets(t *testing.T) {
	for mode, want := range map[string]string{
		"crash":           "the child ended: panic: token is [FAKE_TOKEN]",
		"dead on arrival": "the child ended: panic: token is [FAKE_TOKEN]",
		"no credentials":  "some variables are missing: FAKE_KEY",
		"garbage":         "something else than JSON",
		"refuse":          "403 for token [FAKE_TOKEN]",
		"remains":         "unknown record ID",
		"out of step":     "it answered request 1 with 8",
	} {
		t.Run(mode, func(t *testing.T) {
			s, c := newLab(t, mode).solver(t), solvertest.Challenge(t, "a")
			_, err := s.Present(t.Context(), c)
			if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), token) {
				t.Errorf("got %v, want %q", err, want)
			}
			advice := certfleet.AdviceOf(err)
			if hand := "delete the TXT value " + c.DNSValue() + " at " + c.DNSName(); strings.Contains(advice, hand) != (mode == "remains") || advice == "" {
				t.Errorf("the advice is %q", advice)
			}
		})
	}
}

func TestHungChildIsKilled(t *testing.T) {
	l := newLab(t, "hang")
	s := l.solver(t)
	s.config.Timeout = certfleet.Duration(300*time.Millisecond - grace) // with the grace, 300 ms
	begin := time.Now()
	_, err := s.Present(t.Context(), solvertest.Challenge(t, "a"))
	if err == nil || !strings.Contains(err.Error(), "no answer within 300ms") || time.Since(begin) > trial.Patience/2 {
		t.Errorf("after %v: %v", time.Since(begin), err)
	}
	if s.child != nil {
		t.Error("the hung child is kept")
	}
}

func TestMuteChildDoesNotHoldTheCaller(t *testing.T) {
	s := newLab(t, "mute").solver(t)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	begin := time.Now()
	if _, err := s.Present(ctx, solvertest.Challenge(t, "a")); err == nil || time.Since(begin) > helloTimeout-time.Second {
		t.Errorf("after %v: %v", time.Since(begin), err)
	}
}

// TestCallerMayLeave shows that the child goes on with what was begun, so that
// its memory of the record is not lost, and stays in step.
func TestCallerMayLeave(t *testing.T) {
	trial.InFull(t)
	l := newLab(t, "slow")
	s, c := l.solver(t), solvertest.Challenge(t, "a")
	if _, err := s.Present(t.Context(), c); err != nil { // the start is not what is timed here
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	b := solvertest.Challenge(t, "b")
	if _, err := s.Present(ctx, b); err == nil {
		t.Fatal("present was faster than its child")
	}
	if err := s.CleanUp(t.Context(), b, nil); err != nil {
		t.Errorf("the next call: %v", err)
	}
	if l.count("started") != 1 || len(l.dns.Values(c.DNSName())) != 1 {
		t.Errorf("%d children, left %q", l.count("started"), l.dns.Values(c.DNSName()))
	}
}

func TestChildGetsItsOwnEnvironmentAlone(t *testing.T) {
	t.Setenv("SEALING_KEY", "must-stay-here")
	l := newLab(t, "")
	env, hide, err := l.solver(t).environment()
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(env, "\n")
	if strings.Contains(all, "must-stay-here") || strings.Contains(all, "FAKE_TOKEN_SOURCE") || !strings.Contains(all, "FAKE_TOKEN="+token) {
		t.Errorf("the environment is %s", all)
	}
	if got := hide.Replace("a " + token + " b"); got != "a [FAKE_TOKEN] b" {
		t.Errorf("hidden as %q", got)
	}
}

func TestPropagationTimeoutGivesUp(t *testing.T) {
	l := newLab(t, "")
	s, c := l.solver(t, func(c *Config) { c.PropagationTimeout = certfleet.Duration(time.Millisecond) }), solvertest.Challenge(t, "a")
	state, err := s.Present(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	l.dns.Fail("127.0.0.2", c.DNSName(), solvertest.Hide)
	time.Sleep(5 * time.Millisecond)
	_, seen, err := s.Ready(t.Context(), c, state)
	if err == nil || !strings.Contains(err.Error(), "ns2.example.org. (127.0.0.2) has no such record") || seen == "" {
		t.Errorf("seen %q, %v", seen, err)
	}
}

func TestNewRefusesWithAdvice(t *testing.T) {
	for _, c := range []Config{{}, {Provider: "--help"}, {Provider: "cloudflare", Program: "/no/such/program"}} {
		if _, err := New(c, dial.Deps{}); certfleet.KindOf(err) != certfleet.Invalid || certfleet.AdviceOf(err) == "" {
			t.Errorf("%+v gave %v", c, err)
		}
	}
	if _, err := New(Config{Provider: "cloudflare", Program: "/bin/sh"}, dial.Deps{}); err != nil {
		t.Error(err)
	}
}
