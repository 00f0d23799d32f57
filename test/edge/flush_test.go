package edge

import (
	"strings"
	"testing"

	"github.com/certfleet/certfleet/internal/target/redis"
)

// TestATargetAsksItsEdgesAndFlushesThem has the target ask a real nginx, and one
// that is not there.
func TestATargetAsksItsEdgesAndFlushesThem(t *testing.T) {
	r := start(t, settings{Options: "subscribe = false"})
	r.settings.Redis.Edges = []redis.Edge{{URL: "http://" + r.HTTP}, {URL: "http://127.0.0.1:1"}}
	fronted := r.newTarget()
	b := r.bundle(1, "shop.example.com")
	r.deliver(b) // by the target that knows no edge
	r.expect("shop.example.com", b.Fingerprint)
	got := fronted.AskEdges(t.Context())
	if len(got) != 2 || got[0].Err != nil || got[0].Version != "1.0.0" || !strings.Contains(string(got[0].Body), `"valid":["shop.example.com"]`) || got[1].Err == nil || got[1].Status != 0 {
		t.Fatalf("the edges answer %+v", got)
	}
	next := r.bundle(2, "shop.example.com")
	r.deliver(next)
	r.expect("shop.example.com", b.Fingerprint) // nobody told it
	got, err := fronted.FlushEdges(t.Context())
	if err != nil || len(got) != 2 || got[0].Err != nil || got[1].Err == nil {
		t.Fatalf("flushed %+v, %v", got, err)
	}
	r.eventually("the new pair", func() bool { return r.served("shop.example.com") == next.Fingerprint })
}
