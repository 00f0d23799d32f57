package edge

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// cold asks for each name once.
func cold(b *testing.B, tier string) {
	s := settings{Options: "subscribe = false", Dict: "256m"}
	if layout, ok := strings.CutPrefix(tier, "redis-"); ok {
		s.Redis.Layout, _ = strconv.Atoi(layout)
		s.Options += ", layout = " + layout
	}
	list := bundles(b, b.N)
	if tier == "manager" {
		m := newManager(b)
		for _, x := range list {
			m.answers[x.Certificate] = payload("x509_certificate__latest_single", x)
		}
		s.Options += fmt.Sprintf(", redis = false, manager = %q", m.URL)
	}
	r := start(b, s)
	if tier != "manager" {
		r.deliver(list...)
	}
	worker := workerOf(b, r.cmd.Process.Pid)
	if tier == "dict" {
		worker = r.onlyShared(b, worker, len(list))
	}
	c := &contender{name: tier, addr: r.TLS, names: b.N}
	before := cpu(b, worker)
	b.ResetTimer()
	c.askForEach(b)
	b.ReportMetric((cpu(b, worker)-before)/float64(b.N), "cpu-µs/op")
	if hits := r.counted("hit_" + strings.TrimRight(tier, "-123")); hits != b.N {
		b.Errorf("%d of %d handshakes were answered by %s", hits, b.N, tier)
	}
}

// onlyShared fills the shared dict, and answers a worker that has parsed nothing of it.
func (r *rig) onlyShared(b *testing.B, worker, n int) int {
	(&contender{addr: r.TLS, names: n}).askForEach(b)
	r.reload()
	next := worker
	r.eventually("a new worker", func() bool {
		next = childOf(r.cmd.Process.Pid)
		return next != 0 && next != worker
	})
	return next
}
