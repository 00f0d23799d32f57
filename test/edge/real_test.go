package edge

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/client"
	"github.com/certfleet/certfleet/internal/trial"
)

func TestRealManagerAnswersForWhatRedisHasNot(t *testing.T) {
	h := newHouse(t, nil)
	r := start(t, settings{Options: fmt.Sprintf("manager = %q", h.withToken())})
	first := h.want("default", nil, "shop.example.com", "www.shop.example.com") // goes to no target: only the manager has it
	fp := h.fingerprint(first.Certificate.VersionID)
	for range 2 {
		r.expect("shop.example.com", fp)
		r.expect("WWW.shop.example.com", fp)
	}
	r.expectDefault("nobody.example.com", "nobody.example.com")
	r.expectCounts(map[string]int{"hit_manager": 2, "hit_lru": 2, "miss": 2, "errors_manager": 0})
	lookups, err := h.DB.LookupsOf(t.Context(), first.Certificate.VersionID, 10)
	if err != nil || len(lookups) != 1 || !strings.Contains(lookups[0].Edge, "edge") {
		t.Errorf("on record are %+v, %v; want the edge's token once", lookups, err)
	}
}

func TestManagerTurnsAStrangersTokenAway(t *testing.T) {
	trial.InFull(t)
	h := newHouse(t, nil)
	r := start(t, settings{Options: fmt.Sprintf("manager = %q, error_ttl = 0.2", strings.Replace(h.withToken(), edgeToken, "cf_not-a-token", 1))})
	h.want("default", nil, "shop.example.com")
	r.expectDefault("shop.example.com")
	if log := r.log(); r.counted("errors_manager") == 0 || strings.Contains(log, "cf_not-a-token") || !strings.Contains(log, "it answered 401") {
		t.Errorf("the log should say 401 and no token:\n%s", log)
	}
}

func TestHostileServerNamesNeverReachTheRealManager(t *testing.T) {
	trial.InFull(t)
	h := newHouse(t, nil)
	r := start(t, settings{Options: fmt.Sprintf("redis = false, manager = %q", h.withToken())})
	h.want("default", nil, "shop.example.com")
	names := []string{"", "x/ HTTP/1.1\r\nHost: y\r\n\r\nGET /domain/z", "../../api/redis/prime?x=", "shop.example.com/../x", "shop.example.com?id_only=1", "zz&evil=1", "%2e%2e", "a..b", ".shop.example.com", "*.example.com", "a b.example.com",
		"shop.example.com\x00.evil.example", strings.Repeat("a.", 126) + "ab", strings.Repeat("x", 255), strings.Repeat("y", 64) + ".example.com", "ex\u00e4mple.com", "[::1]", "1.2.3.4.", "10.0.0.1"}
	for _, n := range names {
		if state, err := (hello{name: n}).shake(r.TLS); err == nil && len(state.PeerCertificates) > 0 {
			r.expect(n, r.fallback)
		} // Go itself, or nginx, may refuse such a name; then nothing was asked either
	}
	r.expectCounts(map[string]int{"lookups_manager": 0, "hit_lru": 0})
	r.expect("shop.example.com", h.fingerprint(h.until("shop.example.com", "valid", 0).Certificate.VersionID))
}

func TestRenewalByTheManagerIsSoonServed(t *testing.T) {
	trial.InFull(t)
	r := start(t, settings{Workers: 2})
	r.listening()
	h := newHouse(t, nil)
	h.target(r)
	const name = "shop.example.com"
	first := h.want("default", []string{"edges"}, name)
	stop, seen := r.watch(name)
	if _, err := h.client.RenewCertificate(t.Context(), name, client.Renewal{Force: true}); err != nil {
		t.Fatal(err)
	}
	next := h.until(name, "served", first.Certificate.VersionID)
	old, fresh := h.fingerprint(first.Certificate.VersionID), h.fingerprint(next.Certificate.VersionID)
	r.everywhere(certfleet.Bundle{Certificate: name, Fingerprint: fresh})
	for range 20 { // both workers
		r.expect(name, fresh)
	}
	stop()
	if counts := seen(); old == fresh || len(counts) != 2 || counts[old] == 0 || counts[fresh] == 0 {
		t.Errorf("handshakes showed %v, want the pair before and the one after and nothing else", counts)
	}
}

// watch shakes hands for a name all the time and counts what was shown.
func (r *rig) watch(name string) (stop func(), seen func() map[string]int) {
	var mu sync.Mutex
	var group sync.WaitGroup
	counts, done := map[string]int{}, make(chan struct{})
	for range 4 {
		group.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				fp := r.served(name)
				mu.Lock()
				counts[fp]++
				mu.Unlock()
				time.Sleep(pace)
			}
		})
	}
	stop = sync.OnceFunc(func() { close(done); group.Wait() })
	r.Cleanup(stop)
	return stop, func() map[string]int { return counts }
}

// generation makes a bundle for each of n names, and says what each is shown by.
func (r *rig) generation(version int64, n int) (all []certfleet.Bundle, prints map[string]string) {
	prints = map[string]string{}
	for i := range n {
		b := r.bundle(version, fmt.Sprintf("shop%d.example.com", i))
		all, prints[b.Certificate] = append(all, b), b.Fingerprint
	}
	return all, prints
}

// TestManyNamesRenewUnderLoad renews everything at once while clients come.
func TestManyNamesRenewUnderLoad(t *testing.T) {
	trial.InFull(t)
	n := 500
	if trial.Long() {
		n = 10000
	}
	r := start(t, settings{Workers: 2, Dict: "128m"})
	r.listening()
	first, before := r.generation(1, n)
	second, after := r.generation(2, n)
	for batch := range slices.Chunk(first, 500) {
		r.deliver(batch...)
	}
	stop, shaken := r.traffic(4, func(i int) (string, map[string]bool) {
		name := first[(i*7919)%n].Certificate
		return name, map[string]bool{before[name]: true, after[name]: true}
	})
	r.eventually("a handshake for every name", func() bool { return shaken() > n })
	for batch := range slices.Chunk(second, 500) {
		r.deliver(batch...)
	}
	for range 2 { // the chance that both come to one worker each time is small for all of them
		for name, fp := range after {
			r.eventually("the new pair of "+name, func() bool { return r.served(name) == fp })
		}
	}
	for name, fp := range after { // and nobody goes back
		r.expect(name, fp)
	}
	stop()
	t.Logf("%d names, %d handshakes meanwhile", n, shaken())
}
