// Package solvertest is what every DNS solver has to pass, and the name server
// on loopback that it passes it against.
package solvertest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
)

// Fixture is one solver and the zone that it writes to.
type Fixture struct {
	// Solver is the one under test.
	Solver certfleet.Solver
	// Again makes the solver anew over the same zone, as after a crash.
	Again func(t *testing.T) certfleet.Solver
	// Record is where the TXT records of a challenge end up.
	Record func(c certfleet.Challenge) string
	// Values are the TXT values at a record now.
	Values func(record string) []string
	// Put adds a TXT value that is not ours; nil where no stranger can write.
	Put func(t *testing.T, record, value string)
	// Keeps says that CleanUp leaves values by design, because the server takes them away.
	Keeps bool
}

// bound is how long one call of a solver may take in the suite.
const bound = 15 * time.Second

// Run tries a solver. New makes a fresh fixture, in which www.example.org can
// be challenged.
func Run(t *testing.T, newFixture func(t *testing.T) Fixture) {
	stories := map[string]func(*testing.T, *stage){
		"present shows the value":                 presentShows,
		"present twice is the same as once":       presentTwice,
		"two values stand side by side":           twoValues,
		"clean-up needs no state":                 cleanUpWithoutState,
		"clean-up twice is fine":                  cleanUpTwice,
		"clean-up of what was never there":        cleanUpNothing,
		"clean-up after a crash":                  cleanUpAfterCrash,
		"foreign values stay":                     foreignStays,
		"a cancelled context is obeyed":           cancelled,
		"ready says no before and yes afterwards": ready,
	}
	for name, story := range stories {
		t.Run(name, func(t *testing.T) { story(t, &stage{Fixture: newFixture(t)}) })
	}
}

// Challenge is a dns-01 challenge for www.example.org; seed makes its value.
func Challenge(t testing.TB, seed string) certfleet.Challenge {
	t.Helper()
	name, err := certfleet.ParseName("www.example.org")
	if err != nil {
		t.Fatal(err)
	}
	return certfleet.Challenge{Type: certfleet.DNS01, Name: name, Token: "token-" + seed, KeyAuth: "token-" + seed + ".thumbprint"}
}

type stage struct{ Fixture }

func (s *stage) present(t *testing.T, c certfleet.Challenge) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	state, err := s.Solver.Present(ctx, c)
	if err != nil {
		t.Fatalf("present: %v", err)
	}
	return state
}

func (s *stage) cleanUp(t *testing.T, by certfleet.Solver, c certfleet.Challenge, state []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	if err := by.CleanUp(ctx, c, state); err != nil {
		t.Fatalf("clean up: %v", err)
	}
}

// holds fails unless the record has exactly the wanted number of the value.
func (s *stage) holds(t *testing.T, c certfleet.Challenge, want bool) {
	t.Helper()
	values := s.Values(s.Record(c))
	if !want && s.Keeps {
		return
	}
	if slices.Contains(values, c.DNSValue()) != want {
		t.Errorf("%s holds %q; want %q there: %v", s.Record(c), values, c.DNSValue(), want)
	}
}

func presentShows(t *testing.T, s *stage) {
	c := Challenge(t, "a")
	state := s.present(t, c)
	s.holds(t, c, true)
	s.cleanUp(t, s.Solver, c, state)
	s.holds(t, c, false)
}

func presentTwice(t *testing.T, s *stage) {
	c := Challenge(t, "a")
	s.present(t, c)
	state := s.present(t, c)
	n := 0
	for _, v := range s.Values(s.Record(c)) {
		if v == c.DNSValue() {
			n++
		}
	}
	if n != 1 {
		t.Errorf("the value is there %d times after two calls", n)
	}
	s.cleanUp(t, s.Solver, c, state)
	s.holds(t, c, false)
}

// twoValues is a name and its wildcard in one order, with a crash between: the
// second and the first are presented again.
func twoValues(t *testing.T, s *stage) {
	a, b := Challenge(t, "a"), Challenge(t, "b")
	stateA := s.present(t, a)
	s.present(t, b)
	s.present(t, b)
	s.holds(t, a, true)
	stateA2 := s.present(t, a)
	s.holds(t, a, true)
	s.holds(t, b, true)
	if stateA2 == nil {
		stateA2 = stateA
	}
	s.cleanUp(t, s.Solver, a, stateA2)
	s.holds(t, a, false)
	s.holds(t, b, true)
}

func cleanUpWithoutState(t *testing.T, s *stage) {
	c := Challenge(t, "a")
	s.present(t, c)
	s.cleanUp(t, s.Solver, c, nil)
	s.holds(t, c, false)
}

func cleanUpTwice(t *testing.T, s *stage) {
	c := Challenge(t, "a")
	state := s.present(t, c)
	s.cleanUp(t, s.Solver, c, state)
	s.cleanUp(t, s.Solver, c, state)
	s.holds(t, c, false)
}

func cleanUpNothing(t *testing.T, s *stage) {
	c := Challenge(t, "never")
	s.cleanUp(t, s.Solver, c, nil)
	s.holds(t, c, false)
}

func cleanUpAfterCrash(t *testing.T, s *stage) {
	c := Challenge(t, "a")
	state := s.present(t, c)
	s.cleanUp(t, s.Again(t), c, state)
	s.holds(t, c, false)
}

func foreignStays(t *testing.T, s *stage) {
	if s.Put == nil {
		t.Skip("no stranger can write to this record")
	}
	c := Challenge(t, "a")
	s.Put(t, s.Record(c), "not ours")
	state := s.present(t, c)
	s.cleanUp(t, s.Solver, c, state)
	if values := s.Values(s.Record(c)); !slices.Contains(values, "not ours") {
		t.Errorf("a value that was not ours is gone; left are %q", values)
	}
}

func cancelled(t *testing.T, s *stage) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	begin := time.Now()
	if _, err := s.Solver.Present(ctx, Challenge(t, "a")); err == nil {
		t.Error("present succeeded on a cancelled context")
	}
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("present took %v on a cancelled context", took)
	}
}

func ready(t *testing.T, s *stage) {
	w, ok := s.Solver.(certfleet.Waiter)
	if !ok {
		t.Fatal("a DNS solver must be able to say when its record is seen")
	}
	c := Challenge(t, "a")
	if ok, seen, err := w.Ready(t.Context(), c, nil); ok || err != nil || seen == "" {
		t.Errorf("before present: ready %v, seen %q, error %v", ok, seen, err)
	}
	state := s.present(t, c)
	if ok, seen, err := w.Ready(t.Context(), c, state); !ok || err != nil || seen == "" {
		t.Errorf("after present: ready %v, seen %q, error %v", ok, seen, err)
	}
}
