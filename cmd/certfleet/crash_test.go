package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// steps are the requests of an order, as Pebble's paths name them.
var steps = map[string]string{
	"account": "/sign-me-up", "new-order": "/order-plz", "order": "/my-order/", "authorization": "/authZ/", "challenge": "/chalZ/", "finalize": "/finalize-order/", "certificate": "/certZ/",
}

// trap kills the program that a script runs in the background once the CA has
// done what was asked and before the program hears of it.
type trap struct {
	mu     sync.Mutex
	path   string // empty when not set, guarded by mu
	kill   func() // guarded by mu
	sprung chan struct{}
}

type trapKey struct{}

func trapOf(ts *testscript.TestScript) *trap { return ts.Value(trapKey{}).(*trap) }

func (t *trap) around(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		kill, sprung := t.springs(r)
		if kill == nil {
			next.ServeHTTP(w, r)
			return
		}
		if !strings.HasPrefix(r.URL.Path, steps["challenge"]) { // else the CA would look while nobody is there, and end the order by right
			next.ServeHTTP(httptest.NewRecorder(), r)
		}
		kill()
		close(sprung)
		panic(http.ErrAbortHandler) // nobody is there who could read it
	})
}

// springs answers what is to be done about a request, nil for nothing; once.
func (t *trap) springs(r *http.Request) (kill func(), sprung chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.path == "" || !strings.HasPrefix(r.URL.Path, t.path) || r.Method != http.MethodPost {
		return nil, nil
	}
	t.path = ""
	return t.kill, t.sprung
}

// crash kills what will run in the background with KILL at its next request of a
// step: crash STEP. With the word wait it waits until that has happened.
func crash(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 || steps[args[0]] == "" && args[0] != "wait" {
		ts.Fatalf("usage: crash STEP, or crash wait")
	}
	t := trapOf(ts)
	if args[0] == "wait" {
		select {
		case <-t.sprung:
		case <-time.After(patience):
			ts.Fatalf("the program never came to the step")
		}
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.path, t.sprung = steps[args[0]], make(chan struct{})
	t.kill = func() {
		for _, cmd := range ts.BackgroundCmds() {
			cmd.Process.Kill() // it may have ended by itself; then wait finds out
		}
	}
}
