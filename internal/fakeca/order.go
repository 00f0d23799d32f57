package fakeca

import (
	"strconv"
	"time"
)

// status is how an order stands (RFC 8555 section 7.1.6). The caller holds the lock.
func (ca *CA) status(o *order, now time.Time) string {
	switch {
	case o.problem != nil:
		return "invalid"
	case o.cert != 0 && !o.doneAt.After(now):
		return "valid"
	case o.began:
		return "processing"
	case now.After(o.expires):
		return "invalid"
	}
	status := "ready"
	for _, id := range o.authzs {
		switch ca.authzs[id].status(now) {
		case "valid":
		case "pending":
			status = "pending"
		default:
			return "invalid"
		}
	}
	return status
}

type orderJSON struct {
	Status         string       `json:"status"`
	Expires        time.Time    `json:"expires"`
	Identifiers    []identifier `json:"identifiers"`
	Profile        string       `json:"profile,omitempty"`
	Replaces       string       `json:"replaces,omitempty"`
	NotBefore      *time.Time   `json:"notBefore,omitempty"`
	NotAfter       *time.Time   `json:"notAfter,omitempty"`
	Error          *problemJSON `json:"error,omitempty"`
	Authorizations []string     `json:"authorizations"`
	Finalize       string       `json:"finalize"`
	Certificate    string       `json:"certificate,omitempty"`
}

func (ca *CA) orderReply(s *session, status int, o *order) reply {
	url := s.base + "/order/" + strconv.FormatUint(o.id, 10)
	j := orderJSON{
		Status: ca.status(o, s.now), Expires: o.expires.UTC().Truncate(time.Second), Profile: ca.o.Profiles[o.profile].Name,
		Replaces: o.replaces, Error: ca.why(o).wire(), Finalize: url + "/finalize",
	}
	if !o.from.IsZero() {
		j.NotBefore = &o.from
	}
	if !o.to.IsZero() {
		j.NotAfter = &o.to
	}
	for _, n := range o.names {
		j.Identifiers = append(j.Identifiers, identify(n))
	}
	for _, id := range o.authzs {
		j.Authorizations = append(j.Authorizations, s.base+"/authz/"+strconv.FormatUint(id, 10))
	}
	if j.Status == "valid" {
		j.Certificate = s.base + "/certificate/" + ca.certs.serial(o.cert, ca.o.Seed)
	}
	a := write(status, j).with("Location", url)
	if j.Status == "processing" {
		a.header.Set("Retry-After", "3") // as Boulder says
	}
	return a
}

// why an order is invalid: its own problem, or that of the first name that failed.
func (ca *CA) why(o *order) *Problem {
	if o.problem != nil || o.began {
		return o.problem
	}
	for _, id := range o.authzs {
		if z := ca.authzs[id]; z.problem != nil {
			p := *z.problem
			p.subs = []subproblem{{problemPrefix + p.Type, p.Detail, identify(z.name)}}
			return &p
		}
	}
	return nil
}

// order reads an order. One that has expired is gone, as at Let's Encrypt.
func (ca *CA) order(s *session) (reply, *Problem) {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	o, p := ca.mine(s)
	if p != nil {
		return reply{}, p
	}
	return ca.orderReply(s, 200, o), nil
}

// mine is the order in the request's path, if it is the account's.
func (ca *CA) mine(s *session) (*order, *Problem) {
	o := ca.orders[s.id(1)]
	switch {
	case o == nil, o.who != s.who, o.cert == 0 && !o.began && s.now.After(o.expires):
		return nil, notFound("order")
	}
	return o, nil
}
