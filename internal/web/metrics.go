package web

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metricsAge is how long numbers are shown before they are counted again, so
// that many scrapers cost no more than one.
const metricsAge = 5 * time.Second

// metrics answers in Prometheus' form. No name, label or secret is ever a label
// value; authorities are told by id.
func (s *server) metrics() http.Handler {
	reg := prometheus.NewRegistry()
	reg.MustRegister(&fleetCollector{s: s}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(reg, promhttp.HandlerOpts{Timeout: readyTime, MaxRequestsInFlight: 4})
}

// numbers is what the fleet looked like at a moment.
type numbers struct {
	at       time.Time
	gauges   *store.Gauges
	pauses   []store.PauseRow
	limits   []limitLeft
	waiting  map[string]int64
	requests []store.ExchangeCount
	agents   []store.Count
	err      error
}

// fleetCollector counts the fleet when it is asked.
type fleetCollector struct {
	s *server

	mu   sync.Mutex
	last numbers // guarded by mu
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("certfleet_"+name, help, labels, nil)
}

// The metrics. Their names only ever grow in number.
var (
	mUp           = desc("up", "Whether the numbers of the fleet could be read.")
	mBuild        = desc("build_info", "The release that answers.", "release")
	mCertificates = desc("certificates", "Certificates by state.", "state")
	mFailing      = desc("certificates_failing", "Certificates whose last order failed, by kind of problem.", "problem")
	mDue          = desc("certificates_due", "Certificates whose order opens within a day.")
	mOverdue      = desc("certificates_overdue", "Certificates due for more than an hour.")
	mExpiring     = desc("certificates_expiring", "Certificates with less than three days left that are renewed, here or elsewhere.")
	mExpired      = desc("certificates_expired", "Certificates that have expired and should have been renewed, here or elsewhere.")
	mOrders       = desc("orders_live", "Orders on their way, by lane.", "lane")
	mDeliveries   = desc("deliveries", "Deliveries by state.", "state")
	mOldest       = desc("delivery_oldest_seconds", "The age of the oldest delivery that has not arrived, 0 for none.")
	mRequests     = desc("ca_requests", "Requests to CAs today (UTC), by authority id, kind and status.", "authority_id", "kind", "status")
	mPauses       = desc("ca_pauses", "Things that a CA told us to wait for.")
	mPauseLongest = desc("ca_pause_longest_seconds", "How long the longest of them still lasts.")
	mLimitLeft    = desc("ca_limit_left", "New orders that an account may place now, by authority id and account id.", "authority_id", "account_id", "limit")
	mLimitMost    = desc("ca_limit_most", "New orders that an account may place at once.", "authority_id", "account_id", "limit")
	mWaiting      = desc("certificates_waiting", "Certificates that wait for a limit, by limit.", "limit")
	mAgents       = desc("agents", "Agents by state: invited, lapsed, active, silent or revoked.", "state")
	mQueued       = desc("jobs_waiting", "Due work that waits in the queue, by kind: at most about a hundred of each. On PostgreSQL the node that feeds the queue tells.", "kind")
	mRunning      = desc("jobs_running", "Work that this node does now, by kind.", "kind")
)

// Describe names no metrics beforehand: what there is depends on the fleet.
func (c *fleetCollector) Describe(chan<- *prometheus.Desc) {}

// Collect counts, or tells what it counted a moment ago.
func (c *fleetCollector) Collect(out chan<- prometheus.Metric) {
	n := c.numbers()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(mBuild, 1, certfleet.Release)
	c.running(gauge)
	if n.err != nil {
		gauge(mUp, 0)
		return
	}
	gauge(mUp, 1)
	n.tell(gauge)
}

type gaugeFunc func(d *prometheus.Desc, v float64, labels ...string)

func (c *fleetCollector) running(gauge gaugeFunc) {
	if c.s.Acts.Waiting != nil {
		for kind, n := range c.s.Acts.Waiting() {
			gauge(mQueued, float64(n), word(kind))
		}
	}
	if c.s.Acts.Running == nil {
		return
	}
	by := map[string]int{}
	for _, j := range c.s.Acts.Running() {
		by[j.Kind]++
	}
	for kind, n := range by {
		gauge(mRunning, float64(n), word(kind))
	}
}

func (n numbers) tell(gauge gaugeFunc) {
	g := n.gauges
	for _, m := range []struct {
		d  *prometheus.Desc
		by map[string]int64
	}{{mCertificates, byWord(g.Certificates, word)}, {mFailing, byWord(g.Failures, word)}, {mOrders, byWord(g.Orders, laneWord)}, {mDeliveries, byWord(g.Deliveries, word)}} {
		for w, v := range m.by {
			gauge(m.d, float64(v), w)
		}
	}
	agents := byWord(n.agents, word)
	for _, s := range certfleet.AgentStates {
		gauge(mAgents, float64(agents[string(s)]), string(s))
	}
	gauge(mDue, float64(g.Due))
	gauge(mOverdue, float64(g.Overdue))
	gauge(mExpiring, float64(g.Expiring))
	gauge(mExpired, float64(g.Expired))
	oldest := 0.0
	if !g.OldestOpen.IsZero() {
		oldest = n.at.Sub(g.OldestOpen).Seconds()
	}
	gauge(mOldest, oldest)
	n.tellCAs(gauge)
}

func (n numbers) tellCAs(gauge gaugeFunc) {
	type key struct{ authority, kind, status string }
	by := map[key]int64{}
	today := n.at.UTC().Format(time.DateOnly)
	for _, r := range n.requests {
		if r.Day == today {
			by[key{strconv.FormatInt(r.AuthorityID, 10), word(r.Kind), strconv.Itoa(r.Status)}] += r.N
		}
	}
	for k, v := range by {
		gauge(mRequests, float64(v), k.authority, k.kind, k.status)
	}
	longest := 0.0
	for _, p := range n.pauses {
		longest = max(longest, p.Until.Sub(n.at).Seconds())
	}
	for _, l := range n.limits {
		gauge(mLimitLeft, float64(l.left), l.authority, l.account, l.limit)
		gauge(mLimitMost, float64(l.most), l.authority, l.account, l.limit)
	}
	for limit, v := range n.waiting {
		gauge(mWaiting, float64(v), word(limit))
	}
	gauge(mPauses, float64(len(n.pauses)))
	gauge(mPauseLongest, longest)
}

// word lets only words of a trade through as label values: letters, digits, at
// most 40. A CA names its own problems, and may name them as it likes.
func word(s string) string {
	if s == "" || len(s) > 40 {
		return "other"
	}
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-' {
			return "other"
		}
	}
	return s
}

func (c *fleetCollector) numbers() numbers {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if now.Sub(c.last.at) < metricsAge {
		return c.last
	}
	ctx, cancel := context.WithTimeout(context.Background(), readyTime)
	defer cancel()
	n := numbers{at: now}
	if n.gauges, n.err = c.s.DB.Gauges(ctx, now); n.err == nil {
		n.pauses, n.err = c.s.DB.Pauses(ctx, now)
	}
	if n.err == nil {
		n.limits, n.waiting, n.err = c.s.limitsLeft(ctx, now)
	}
	if n.err == nil {
		n.requests, n.err = c.s.DB.ExchangeCounts(ctx, now)
	}
	if n.err == nil {
		n.agents, n.err = c.s.DB.AgentCounts(ctx, now)
	}
	c.last = n
	return n
}
