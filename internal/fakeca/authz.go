package fakeca

import (
	"strconv"
	"time"

	"github.com/certfleet/certfleet"
)

// authz is the proof for one name (RFC 8555 section 7.1.4).
type authz struct {
	id       uint64
	who      *account
	name     certfleet.Name // without a leading star
	wildcard bool
	reuse    time.Duration // how long it is good once valid
	expires  time.Time
	gone     string // deactivated or revoked
	orders   int    // that have it

	chosen    string    // the challenge that was answered
	verdictAt time.Time // when the verdict is seen; zero while nobody knows it
	good      bool
	problem   *Problem
}

// authorize finds or makes the authorization for a name. The caller holds the lock.
func (ca *CA) authorize(o *order, n certfleet.Name, p *Profile, now time.Time) *authz {
	key := reuseKey(o.who, n)
	term := p.at(now)
	if z := ca.reusable[key]; z != nil && z.serves(now, term.Reuse, p.Pending) {
		return z
	}
	delete(ca.reusable, key)
	base, _ := certfleet.ParseName(n.Base())
	z := &authz{id: ca.nextID(), who: o.who, name: base, wildcard: n.IsWildcard(), reuse: term.Reuse, expires: now.Add(p.Pending)}
	ca.authzs[z.id] = z
	if ca.o.SharePending {
		ca.reusable[key] = z
	}
	return z
}

// serves reports whether an authorization is good for another order: for so long
// that it can be finished.
func (z *authz) serves(now time.Time, reuse, pending time.Duration) bool {
	left := z.expires.Sub(now)
	switch z.status(now) {
	case "valid":
		return left > reuse/8
	case "pending":
		return left > pending/8
	}
	return false
}

func reuseKey(who *account, n certfleet.Name) string {
	return strconv.FormatUint(who.n, 36) + "/" + n.String()
}

func (z *authz) status(now time.Time) string {
	decided := !z.verdictAt.IsZero() && !z.verdictAt.After(now)
	switch {
	case z.gone != "":
		return z.gone
	case decided && !z.good:
		return "invalid"
	case now.After(z.expires):
		return "expired"
	case decided:
		return "valid"
	}
	return "pending"
}

// types are the challenges offered: a wildcard is proved in the DNS alone, an
// address never (RFC 8738 section 7).
func (z *authz) types() []string {
	switch {
	case z.wildcard:
		return []string{"dns-01"}
	case z.name.IsIP():
		return []string{"http-01", "tls-alpn-01"}
	}
	return []string{"http-01", "dns-01", "tls-alpn-01"}
}

type challengeJSON struct {
	Type      string       `json:"type"`
	URL       string       `json:"url"`
	Status    string       `json:"status"`
	Token     string       `json:"token"`
	Validated *time.Time   `json:"validated,omitempty"`
	Error     *problemJSON `json:"error,omitempty"`
}

func (ca *CA) challengeWire(s *session, z *authz, kind string) challengeJSON {
	j := challengeJSON{Type: kind, URL: s.base + "/challenge/" + strconv.FormatUint(z.id, 10) + "/" + kind, Status: "pending", Token: ca.token(z.id)}
	if kind != z.chosen {
		return j
	}
	j.Status = "processing"
	if !z.verdictAt.IsZero() && !z.verdictAt.After(s.now) {
		at := z.verdictAt.UTC().Truncate(time.Second)
		j.Validated = &at
		if j.Status = "valid"; !z.good {
			j.Status, j.Error = "invalid", z.problem.wire()
		}
	}
	return j
}

func (ca *CA) authzReply(s *session, z *authz) reply {
	var list []challengeJSON
	for _, kind := range z.types() {
		if z.chosen == "" || kind == z.chosen {
			list = append(list, ca.challengeWire(s, z, kind))
		}
	}
	return write(200, struct {
		Status     string          `json:"status"`
		Identifier identifier      `json:"identifier"`
		Wildcard   bool            `json:"wildcard,omitempty"`
		Expires    time.Time       `json:"expires"`
		Challenges []challengeJSON `json:"challenges"`
	}{z.status(s.now), identify(z.name), z.wildcard, z.expires.UTC().Truncate(time.Second), list})
}

// authz reads an authorization or gives it up (RFC 8555 section 7.5.2).
func (ca *CA) authz(s *session) (reply, *Problem) {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	z := ca.authzs[s.id(1)]
	if z == nil || z.who != s.who {
		return reply{}, notFound("authorization")
	}
	if s.asksOnly() {
		return ca.authzReply(s, z), nil
	}
	var req struct {
		Status string `json:"status"`
	}
	if p := s.read(&req); p != nil {
		return reply{}, p
	}
	if st := z.status(s.now); req.Status != "deactivated" || st != "pending" && st != "valid" {
		return reply{}, malformed("an authorization that is %s cannot become %q", st, req.Status)
	}
	z.gone = "deactivated"
	return ca.authzReply(s, z), nil
}

// challenge looks at a challenge now (RFC 8555 section 7.5.1).
func (ca *CA) challenge(s *session) (reply, *Problem) {
	ca.mu.Lock()
	z, kind := ca.authzs[s.id(1)], ""
	if len(s.path) == 3 {
		kind = s.path[2]
	}
	if z == nil || z.who != s.who || !offers(z, kind) {
		ca.mu.Unlock()
		return reply{}, notFound("challenge")
	}
	fresh := !s.asksOnly() && z.status(s.now) == "pending" && z.chosen == ""
	if fresh {
		z.chosen = kind
	}
	v := Validation{kind, z.name.String(), ca.token(z.id), ca.token(z.id) + "." + s.who.print, s.who.url(s.base)}
	ca.mu.Unlock()
	if fresh {
		ca.judge(s, z, v)
	}
	ca.mu.Lock()
	defer ca.mu.Unlock()
	up := "<" + s.base + "/authz/" + strconv.FormatUint(z.id, 10) + `>;rel="up"`
	return write(200, ca.challengeWire(s, z, kind)).with("Link", up), nil
}

func offers(z *authz, kind string) bool {
	for _, k := range z.types() {
		if k == kind && (z.chosen == "" || z.chosen == kind) {
			return true
		}
	}
	return false
}

// maxValidation bounds one look at a challenge.
const maxValidation = 30 * time.Second

// judge validates and counts.
func (ca *CA) judge(s *session, z *authz, v Validation) {
	p := ca.validate(s, v)
	ca.mu.Lock()
	defer ca.mu.Unlock()
	s.now = ca.o.Now() // looking may have taken a while
	now := s.now
	z.verdictAt, z.good, z.problem = now.Add(ca.o.ValidationDelay), p == nil, p
	if p != nil {
		ca.stats.Failed++
		ca.limits.failed(s.who, s.base, z.name.String(), now)
		return
	}
	ca.limits.succeeded(s.who, z.name.String())
	z.expires = now.Add(z.reuse)
	if !ca.o.Lean {
		ca.reusable[reuseKey(s.who, z.full())] = z
	}
}

// full is the name that was ordered, with its star.
func (z *authz) full() certfleet.Name {
	if !z.wildcard {
		return z.name
	}
	n, _ := certfleet.ParseName("*." + z.name.String())
	return n
}
