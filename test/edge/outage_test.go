package edge

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/target/redis"
	"github.com/certfleet/certfleet/internal/target/redis/redistest"
	"github.com/certfleet/certfleet/internal/trial"
)

const expire = "/.peter_sslers/nginx/shared_cache/expire"

func TestKnownNamesOutliveRedis(t *testing.T) {
	r := start(t, settings{Options: "error_ttl = 0.2"})
	known, later := r.bundle(1, "known.example.com"), r.bundle(2, "later.example.com")
	r.deliver(known, later)
	r.expect("known.example.com", known.Fingerprint)
	r.server.Stop()
	r.get(expire + "/all") // so that it is looked up again, in vain
	for range 3 {
		r.expect("known.example.com", known.Fingerprint)
	}
	r.expectDefault("later.example.com")
	r.server.Run() // it comes back empty, as one without a disk does
	r.eventually("a lookup in the new Redis", func() bool {
		r.expect("known.example.com", known.Fingerprint)
		return r.counted("lookups_redis") > r.counted("errors_redis")
	})
	r.get(expire + "/all")
	r.expect("known.example.com", known.Fingerprint)
	r.deliver(known, later)
	r.eventually("the name that was away", func() bool { return r.served("later.example.com") == later.Fingerprint })
}

func TestRemovedNameGoesFromEveryEdge(t *testing.T) {
	r := start(t, settings{Workers: 2})
	r.listening()
	stays, goes := r.bundle(1, "stays.example.com"), r.bundle(2, "goes.example.com")
	r.deliver(stays, goes)
	for range 10 {
		r.expect("goes.example.com", goes.Fingerprint)
	}
	if err := r.target.Remove(t.Context(), goes.Certificate, certfleet.Receipt{}); err != nil {
		t.Fatal(err)
	}
	r.eventually("the default for the removed name", func() bool { return r.served("goes.example.com") == r.fallback })
	r.expect("stays.example.com", stays.Fingerprint)
}

func TestHungRedisCostsABoundedWait(t *testing.T) {
	trial.InFull(t)
	r := start(t, settings{Options: "redis_read_timeout = 300, error_ttl = 0.2"})
	known := r.bundle(1, "known.example.com")
	r.deliver(known)
	r.expect("known.example.com", known.Fingerprint)
	if err := syscall.Kill(r.server.PID(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer syscall.Kill(r.server.PID(), syscall.SIGCONT)
	const cold = 10
	before, began := r.counted("lookups_redis"), time.Now()
	for i := range cold {
		r.expectDefault(fmt.Sprintf("cold%d.example.com", i)) // a handshake that waits for ever is an error
	}
	// After three in vain it is left alone, but for a try a second.
	asked, most := r.counted("lookups_redis")-before, 3+int(time.Since(began)/time.Second)
	if asked > most || asked == 0 {
		t.Errorf("a Redis that hangs was asked %d times by %d handshakes in %v, want %d at most", asked, cold, time.Since(began), most)
	}
	r.get(expire + "/all")
	r.expect("known.example.com", known.Fingerprint)
	syscall.Kill(r.server.PID(), syscall.SIGCONT)
	fresh := r.bundle(1, "fresh.example.com")
	r.deliver(fresh)
	r.eventually("Redis is asked again", func() bool { return r.served("fresh.example.com") == fresh.Fingerprint })
}

func TestWrongPasswordLeavesTheDefault(t *testing.T) {
	t.Setenv("REDIS_PASSWORD", "right")
	path := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(path, []byte("wrong-hunter2"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := start(t, settings{Options: fmt.Sprintf("redis_password_file = %q, error_ttl = 0.2", path), Redis: redis.Config{Password: "env:REDIS_PASSWORD"}, RedisArg: []string{"--requirepass", "right"}})
	r.deliver(r.bundle(1, "shop.example.com"))
	r.expectDefault("shop.example.com", "shop.example.com")
	if log := r.log(); !contains(log, "WRONGPASS") || contains(log, "hunter2") {
		t.Errorf("the log should say WRONGPASS and no password:\n%s", log)
	}
}

func TestRedisOverTLSIsVerified(t *testing.T) {
	dir := t.TempDir()
	ca, err := pki.NewCA("redis", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	issued, err := ca.IssueServer([]string{"redis.internal.example", "127.0.0.1"}, time.Hour, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	file := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	chain, key := file("chain.pem", issued.ChainPEM), file("key.pem", issued.KeyPEM)
	for name, want := range map[string]bool{"redis.internal.example": true, "other.example": false} {
		t.Run(name, func(t *testing.T) {
			port := redistest.FreePort(t)
			r := start(t, settings{
				Options:  fmt.Sprintf(`redis = "rediss://127.0.0.1:%s/9", redis_server_name = %q, error_ttl = 0.2`, port, name),
				Http:     "lua_ssl_verify_depth 3; lua_ssl_trusted_certificate " + chain + ";",
				RedisArg: []string{"--tls-port", port, "--tls-auth-clients", "no", "--tls-cert-file", chain, "--tls-key-file", key, "--tls-ca-cert-file", chain},
			})
			b := r.bundle(1, "shop.example.com")
			r.deliver(b)
			if got := r.served("shop.example.com") == b.Fingerprint; got != want {
				t.Errorf("served through a Redis called %s: %v, want %v", name, got, want)
			}
		})
	}
}

func TestReloadDuringTrafficLosesNoHandshake(t *testing.T) {
	trial.InFull(t)
	r := start(t, settings{Workers: 2})
	b := r.bundle(1, "shop.example.com")
	r.deliver(b)
	stop, shaken := r.traffic(4, func(int) (string, map[string]bool) { return "shop.example.com", map[string]bool{b.Fingerprint: true} })
	for range 4 {
		before := shaken()
		r.eventually("traffic goes on", func() bool { return shaken() >= before+50 })
		r.reload()
	}
	before := shaken()
	r.eventually("traffic goes on after the last reload", func() bool { return shaken() >= before+50 })
	stop()
}

// pace is how long a client rests between two handshakes: without a rest a few of
// them take all of a small machine, and what they wait for gets nothing of it.
const pace = 2 * time.Millisecond

// traffic shakes hands all the time; each handshake must show one of the
// fingerprints that pick answers for it.
func (r *rig) traffic(clients int, pick func(i int) (name string, want map[string]bool)) (stop func(), shaken func() int) {
	var group sync.WaitGroup
	var n atomic.Int64
	done := make(chan struct{})
	for range clients {
		group.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				name, want := pick(int(n.Add(1)))
				if got := r.served(name); !want[got] {
					r.Errorf("%s showed %.12s during traffic", name, got)
				}
				time.Sleep(pace)
			}
		})
	}
	stop = sync.OnceFunc(func() { close(done); group.Wait() })
	r.Cleanup(stop)
	return stop, func() int { return int(n.Load()) }
}

// everywhere waits until both workers show a bundle: long before they would look it
// up by themselves.
func (r *rig) everywhere(b certfleet.Bundle) {
	r.Helper()
	for inARow := 0; inARow < 8; { // the chance that one worker took them all is small
		if inARow++; r.served(b.Certificate) == b.Fingerprint {
			continue
		}
		inARow = 0
		r.eventually("the new pair of "+b.Certificate, func() bool { return r.served(b.Certificate) == b.Fingerprint })
	}
}

func TestFloodOfBogusNamesEvictsNoPair(t *testing.T) {
	trial.InFull(t)
	r := start(t, settings{Dict: "700k", Workers: 2, Options: "subscribe = false"})
	var real []certfleet.Bundle
	for i := range 250 {
		real = append(real, r.bundle(int64(i+1), fmt.Sprintf("shop%d.example.com", i)))
	}
	r.deliver(real...)
	for _, b := range real {
		r.expect(b.Certificate, b.Fingerprint)
	}
	var group sync.WaitGroup
	for c := range 4 {
		group.Go(func() {
			for i := range 700 {
				r.expectDefault(fmt.Sprintf("bogus-with-a-rather-long-name-%d-%d.example.net", c, i))
			}
		})
	}
	group.Wait()
	_, status := r.get("/.peter_sslers/nginx/shared_cache/status")
	r.tallied()
	before := r.counted("lookups_redis")
	r.reload() // new workers have nothing parsed: they need the dict
	time.Sleep(500 * time.Millisecond)
	for _, b := range real {
		r.expect(b.Certificate, b.Fingerprint)
	}
	r.tallied()
	if after := r.counted("lookups_redis"); after != before {
		t.Errorf("%d of the real names were looked up again; before that: %.300s", after-before, status)
	}
	r.expectCounts(map[string]int{"evicted": 0})
}

func TestPairsAreRefreshedBeforeAnybodyWaits(t *testing.T) {
	trial.InFull(t)
	r := start(t, settings{Options: "ttl = 5, subscribe = false"})
	b := r.bundle(1, "shop.example.com")
	r.deliver(b)
	stop, _ := r.traffic(1, func(int) (string, map[string]bool) {
		time.Sleep(20 * time.Millisecond)
		return "shop.example.com", map[string]bool{b.Fingerprint: true}
	})
	r.eventually("a second refresh", func() bool { return r.counted("refreshed") >= 2 })
	stop()
	r.expectCounts(map[string]int{"hit_redis": 1})
}
