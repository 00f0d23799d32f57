package acme

import (
	"fmt"
	"testing"
	"time"
)

func TestNonceIsUsedOnce(t *testing.T) {
	var n nonces
	now := time.Now()
	for i := range maxNonces + 10 {
		n.put(fmt.Sprintf("nonce-%d", i), now)
	}
	seen := map[string]bool{}
	for v, ok := n.take(now); ok; v, ok = n.take(now) {
		if seen[v] {
			t.Fatalf("%s came twice", v)
		}
		seen[v] = true
	}
	if len(seen) != maxNonces || seen["nonce-0"] {
		t.Errorf("%d nonces were kept, want the newest %d", len(seen), maxNonces)
	}
}

func TestOldAndBrokenNoncesAreForgotten(t *testing.T) {
	var n nonces
	now := time.Now()
	for _, bad := range []string{"", "with space", "padded=", "ünicode", "a/b"} {
		n.put(bad, now)
	}
	n.put("old", now.Add(-maxNonceAge-time.Second))
	if v, ok := n.take(now); ok {
		t.Errorf("took %q", v)
	}
	n.put("a", now)
	n.put("b", now)
	n.keepNewest()
	if v, _ := n.take(now); v != "b" {
		t.Errorf("kept %q, want the newest", v)
	}
	if v, ok := n.take(now); ok {
		t.Errorf("kept %q too", v)
	}
}
