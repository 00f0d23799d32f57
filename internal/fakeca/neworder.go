package fakeca

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
)

// identifier is a name on the wire (RFC 8555 section 7.1.3, RFC 8738).
type identifier struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

func identify(n certfleet.Name) identifier {
	if n.IsIP() {
		return identifier{"ip", n.String()}
	}
	return identifier{"dns", n.String()}
}

type orderRequest struct {
	Identifiers []identifier `json:"identifiers"`
	Profile     string       `json:"profile"`
	Replaces    string       `json:"replaces"`
	NotBefore   string       `json:"notBefore"`
	NotAfter    string       `json:"notAfter"`
}

// order is one that was taken (RFC 8555 section 7.1.3).
type order struct {
	id       uint64
	who      *account
	names    []certfleet.Name // sorted
	set      uint64           // hash of the names
	profile  int
	replaces string
	authzs   []uint64
	expires  time.Time
	from, to time.Time // asked for, only where the CA takes dates
	exempt   bool      // from the limit on registered domains

	problem *Problem
	began   bool      // it was finalized
	doneAt  time.Time // when it is seen to be done; zero for never
	cert    uint64    // the certificate's number, once signed
	der     []byte    // its leaf
}

// newOrder takes an order (RFC 8555 section 7.4).
func (ca *CA) newOrder(s *session) (reply, *Problem) {
	var req orderRequest
	if p := s.read(&req); p != nil {
		return reply{}, p
	}
	if p := ca.scripted(s.call, req.Replaces != ""); p != nil {
		return reply{}, p
	}
	o, p := ca.draft(s, req)
	if p != nil {
		return reply{}, p
	}
	ca.mu.Lock()
	defer ca.mu.Unlock()
	old, inWindow, p := ca.replaced(s, o)
	if p == nil {
		p = ca.mayOrder(s, o, inWindow)
	}
	if p != nil {
		return reply{}, p
	}
	if same := ca.orders[ca.open[o.key()]]; same != nil && o.replaces == "" && slices.Contains([]string{"pending", "ready"}, ca.status(same, s.now)) {
		return ca.orderReply(s, 201, same), nil
	}
	ca.enter(s, o)
	ca.count(old, o, s.now)
	return ca.orderReply(s, 201, o), nil
}

// draft checks what can be checked without knowing anyone.
func (ca *CA) draft(s *session, req orderRequest) (*order, *Problem) {
	profile, p := ca.profile(req.Profile, s.now)
	if p != nil {
		return nil, p
	}
	o := &order{who: s.who, profile: profile, replaces: req.Replaces}
	if o.names, p = ca.names(req.Identifiers, &ca.o.Profiles[profile]); p != nil {
		return nil, p
	}
	o.set = hash(certfleet.SetKey(o.names))
	if (req.NotBefore != "" || req.NotAfter != "") && !ca.o.Dates {
		return nil, malformed("notBefore and notAfter are not supported")
	}
	for _, d := range []struct {
		text string
		at   *time.Time
	}{{req.NotBefore, &o.from}, {req.NotAfter, &o.to}} {
		var err error
		if d.text != "" {
			if *d.at, err = time.Parse(time.RFC3339, d.text); err != nil {
				return nil, malformed("%q is not a time", d.text)
			}
		}
	}
	return o, nil
}

func (ca *CA) names(ids []identifier, profile *Profile) ([]certfleet.Name, *Problem) {
	var names []certfleet.Name
	for _, id := range ids {
		n, err := certfleet.ParseName(id.Value)
		switch {
		case id.Type != "dns" && id.Type != "ip":
			return nil, problem(400, "unsupportedIdentifier", "identifiers of type %q are not supported", id.Type)
		case err != nil, n.IsIP() != (id.Type == "ip"):
			return nil, problem(400, "rejectedIdentifier", "%q is not a name that can be certified", id.Value)
		case n.IsIP() && !profile.IP:
			return nil, problem(400, "rejectedIdentifier", "profile %q does not permit IP addresses", profile.Name)
		case !slices.Contains(names, n):
			names = append(names, n)
		}
	}
	if len(names) == 0 || len(names) > profile.MaxNames {
		return nil, malformed("an order must have 1 to %d identifiers, not %d", profile.MaxNames, len(names))
	}
	slices.SortFunc(names, func(a, b certfleet.Name) int { return strings.Compare(a.String(), b.String()) })
	return names, nil
}

// enter opens the order and its authorizations. The caller holds the lock.
func (ca *CA) enter(s *session, o *order) {
	p := &ca.o.Profiles[o.profile]
	o.id, o.expires = ca.nextID(), s.now.Add(p.Order)
	for _, n := range o.names {
		z := ca.authorize(o, n, p, s.now)
		o.authzs, z.orders = append(o.authzs, z.id), z.orders+1
		if z.expires.Before(o.expires) {
			o.expires = z.expires
		}
	}
	ca.orders[o.id] = o
	ca.open[o.key()] = o.id
	if !ca.o.Lean {
		o.who.orders = append(o.who.orders, o.id)
	}
	if r := ca.certs.named(o.replaces); r != nil {
		r.replacedBy = o.id
	}
	ca.forgetOld(o.id, s.now)
	ca.stats.Orders++
}

// key is what an order is found by that can be reused.
func (o *order) key() string {
	return strconv.FormatUint(o.who.n, 36) + "/" + strconv.Itoa(o.profile) + "/" + strconv.FormatUint(o.set, 36)
}

// keptOrders is how many finished orders a lean CA remembers.
const keptOrders = 1024

// forgetOld drops finished and expired orders from a lean CA.
func (ca *CA) forgetOld(opened uint64, now time.Time) {
	if !ca.o.Lean {
		return
	}
	ca.opened = append(ca.opened, opened)
	for len(ca.finished) > keptOrders {
		ca.forget(ca.finished[0])
		ca.finished = ca.finished[1:]
	}
	for len(ca.opened) > 0 {
		if o := ca.orders[ca.opened[0]]; o != nil && o.cert == 0 && !o.expires.Before(now) {
			return
		} else if o != nil && o.cert == 0 {
			ca.forget(o.id)
		}
		ca.opened = ca.opened[1:]
	}
}

func (ca *CA) forget(id uint64) {
	o := ca.orders[id]
	if o == nil {
		return
	}
	delete(ca.orders, id)
	for _, id := range o.authzs {
		z := ca.authzs[id]
		if z.orders--; z.orders > 0 {
			continue
		}
		delete(ca.authzs, id)
		if key := reuseKey(z.who, z.full()); ca.reusable[key] == z {
			delete(ca.reusable, key)
		}
	}
	ca.closeOrder(o)
}

// closeOrder takes an order from those that can be reused.
func (ca *CA) closeOrder(o *order) {
	if ca.open[o.key()] == o.id {
		delete(ca.open, o.key())
	}
}
