package fakeca

import (
	"bytes"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// pollEvery is how often Let's Encrypt wants to be asked, give or take a fifth.
const pollEvery = 6 * time.Hour

// window is when a certificate should be renewed: one percent of its life around
// two thirds of it, or half of it under ten days. One in a hurry gets a window
// that ended half an hour ago.
func (r *record) window(now time.Time) (start, end time.Time) {
	if r.state&(revoked|hurried) != 0 {
		return now.Add(-time.Hour), now.Add(-30 * time.Minute)
	}
	life := time.Duration(r.life) * time.Second
	left := life / 3
	if life < 10*day {
		left = life / 2
	}
	ideal := r.notAfter().Add(-left)
	return ideal.Add(-life / 100), ideal.Add(life / 100)
}

// renewalInfo answers when to renew (RFC 9773 section 4).
func (ca *CA) renewalInfo(c *call) (reply, *Problem) {
	if c.method != http.MethodGet || len(c.path) != 2 {
		return reply{}, problem(405, "malformed", "ask with GET and an ARI id")
	}
	ca.mu.Lock()
	defer ca.mu.Unlock()
	n, p := ca.parseARI(c.path[1])
	if p != nil {
		return reply{}, p
	}
	r := ca.certs.at(n)
	start, end := r.window(c.now)
	body := map[string]any{"suggestedWindow": map[string]any{"start": start.UTC().Format(time.RFC3339Nano), "end": end.UTC().Format(time.RFC3339Nano)}}
	if r.state&(revoked|hurried) != 0 {
		body["explanationURL"] = c.base + "/docs/incident"
	}
	wait := time.Duration((0.8 + 0.4*ca.luck(n, uint64(c.now.Unix()/3600))) * float64(pollEvery))
	return write(200, body).with("Retry-After", strconv.Itoa(int(wait/time.Second))), nil
}

// parseARI is the number of the certificate that an ARI id names (RFC 9773
// section 4.1). The caller holds the lock.
func (ca *CA) parseARI(id string) (uint64, *Problem) {
	aki, serial, ok := strings.Cut(id, ".")
	a, err1 := b64.DecodeString(aki)
	b, err2 := b64.DecodeString(serial)
	if !ok || err1 != nil || err2 != nil || len(a) == 0 || len(b) == 0 {
		return 0, malformed("%q is no ARI id", id)
	}
	n, ok := ca.certs.bySerial(b, ca.o.Seed)
	if !ok || !bytes.Equal(a, ca.signer.intermediates[0].SubjectKeyId) {
		return 0, notFound("certificate")
	}
	return n, nil
}

// replaced checks what an order says it replaces (RFC 9773 section 5) and
// whether it comes inside the window, whose end is outside. The caller holds the lock.
func (ca *CA) replaced(s *session, o *order) (old *record, inWindow bool, p *Problem) {
	if o.replaces == "" {
		return nil, false, nil
	}
	n, p := ca.parseARI(o.replaces)
	if p != nil {
		return nil, false, p
	}
	r := ca.certs.at(n)
	switch {
	case r.who != uint32(o.who.n):
		return nil, false, unauthorized("the certificate to replace is another account's")
	case !slices.ContainsFunc(hashes(o.names), func(h uint64) bool { return slices.Contains(r.names, h) }):
		return nil, false, malformed("the order shares no identifier with the certificate that it replaces")
	case r.state&replaced != 0 || ca.replacing(r, s.now):
		return nil, false, problem(http.StatusConflict, "alreadyReplaced", "the certificate %q has a replacement order already", o.replaces)
	}
	start, end := r.window(s.now)
	return r, !s.now.Before(start) && s.now.Before(end), nil
}

// replacing reports whether an order that may still issue replaces r.
func (ca *CA) replacing(r *record, now time.Time) bool {
	by := ca.orders[r.replacedBy]
	return by != nil && ca.status(by, now) != "invalid"
}

// count notes when a replacement came. The caller holds the lock.
func (ca *CA) count(old *record, o *order, now time.Time) {
	if old == nil {
		if o.exempt {
			ca.stats.SameSet++
		}
		return
	}
	start, end := old.window(now)
	switch {
	case now.Before(start):
		ca.stats.Early++
	case now.Before(end):
		ca.stats.InWindow++
	default:
		ca.stats.Late++
	}
}
