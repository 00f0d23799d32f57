package trial

import (
	"testing"
	"time"
)

// Patience bounds a wait for something that must happen. No machine that is slow
// or busy needs so long: a test that waits to its end has found what hangs.
const Patience = 60 * time.Second

// Until asks again and again until it is done, and fails the test with what was
// seen last when that does not come within Patience.
func Until(t testing.TB, what string, look func() (done bool, saw string)) {
	t.Helper()
	Within(t, Patience, what, look)
}

// Within is Until for what takes longer than Patience by its nature.
func Within(t testing.TB, bound time.Duration, what string, look func() (done bool, saw string)) {
	t.Helper()
	for end := time.Now().Add(bound); ; time.Sleep(10 * time.Millisecond) {
		done, saw := look()
		if done {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: not within %v; last seen: %s", what, bound, saw)
		}
	}
}
