package fakeca

import (
	"cmp"
	"errors"
	"net/http"
	"strconv"
	"time"
)

// FaultKind is what goes wrong.
type FaultKind string

// What can go wrong.
const (
	BadNonce            FaultKind = "bad-nonce"            // a good nonce is refused
	ServerError         FaultKind = "server-error"         // 500 or Status, with a problem document
	RateLimited         FaultKind = "rate-limited"         // 429, with Retry-After as After says
	HTMLPage            FaultKind = "html-page"            // a proxy's page, with 502 or Status
	Truncated           FaultKind = "truncated"            // done, but half of the answer is missing
	Slow                FaultKind = "slow"                 // the answer takes Delay
	Dropped             FaultKind = "dropped"              // the connection breaks before anything is done
	LostAnswer          FaultKind = "lost-answer"          // done, but the connection breaks
	Outage              FaultKind = "outage"               // nobody answers
	Stuck               FaultKind = "stuck"                // a finalized order stays in processing, for Delay if that is set
	WrongKey            FaultKind = "wrong-key"            // the certificate is for another key
	MissingIntermediate FaultKind = "missing-intermediate" // the chain is the leaf alone
	AlreadyReplaced     FaultKind = "already-replaced"     // an order with replaces is refused so
	VanishedProfile     FaultKind = "vanished-profile"     // the profile Name is gone
	UserActionRequired  FaultKind = "user-action-required" // an order is refused until terms are agreed to
	AccountGone         FaultKind = "account-gone"         // the account does not exist, says the CA
)

// Forms of Retry-After.
const (
	AfterSeconds = "seconds" // Delay from now, an hour if zero
	AfterDate    = "date"    // the same, as a date
	AfterNone    = "none"
	AfterAbsurd  = "absurd" // more seconds than fit 64 bits
)

// Fault is something that goes wrong, by chance or by the clock.
type Fault struct {
	Kind     FaultKind
	Endpoint string    // newOrder, finalize, ...; empty for all that make sense
	Share    float64   // how often, between 0 and 1; zero is always
	Times    int       // how often at most; zero is without end
	From     time.Time // zero is from the start
	Until    time.Time // zero is for ever
	Delay    time.Duration
	Status   int
	After    string // a form of Retry-After; empty is AfterSeconds for RateLimited, else none
	Name     string // of a profile
}

type fault struct {
	Fault
	asked uint64
	done  int
}

// Inject adds a fault.
func (ca *CA) Inject(f Fault) {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	ca.faults = append(ca.faults, &fault{Fault: f})
}

// Heal removes all faults.
func (ca *CA) Heal() {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	ca.faults = nil
}

// strikes is the first fault of these kinds that happens to this request.
func (ca *CA) strikes(endpoint string, now time.Time, kinds ...FaultKind) *Fault {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	for i, f := range ca.faults {
		for _, k := range kinds {
			if f.Kind == k && ca.hits(f, uint64(i), endpoint, now) {
				f.done++
				ca.stats.Faults++
				c := f.Fault
				return &c
			}
		}
	}
	return nil
}

func (ca *CA) hits(f *fault, i uint64, endpoint string, now time.Time) bool {
	if f.Endpoint != "" && f.Endpoint != endpoint || f.Times > 0 && f.done >= f.Times || now.Before(f.From) || !f.Until.IsZero() && !now.Before(f.Until) {
		return false
	}
	f.asked++
	return f.Share == 0 || ca.luck(i+1, f.asked) < f.Share
}

var errDropped = errors.New("connection reset by the fake CA")

// faulty answers a request with whatever goes wrong on the way.
func (ca *CA) faulty(c *call) (reply, error) {
	ca.mu.Lock()
	ca.stats.Requests[c.endpoint]++
	any := len(ca.faults) > 0
	ca.mu.Unlock()
	if !any {
		return ca.respond(c), nil
	}
	if f := ca.strikes(c.endpoint, c.now, Slow); f != nil {
		if err := ca.o.Sleep(c.ctx, f.Delay); err != nil {
			return reply{}, err
		}
		c.now = ca.o.Now()
	}
	if f := ca.strikes(c.endpoint, c.now, Outage, Dropped); f != nil {
		return reply{}, errDropped
	}
	if f := ca.strikes(c.endpoint, c.now, ServerError, RateLimited, HTMLPage); f != nil {
		return f.refusal(c), nil
	}
	if c.method == http.MethodPost && ca.strikes(c.endpoint, c.now, BadNonce) != nil {
		return problem(400, "badNonce", "the nonce is not one of ours, or was used before").reply(), nil
	}
	a := ca.respond(c)
	if f := ca.strikes(c.endpoint, c.now, LostAnswer); f != nil {
		return reply{}, errDropped
	}
	if len(a.body) > 0 && ca.strikes(c.endpoint, c.now, Truncated) != nil {
		a.body = a.body[:len(a.body)/2]
	}
	return a, nil
}

// refusal is what the fault answers instead of the CA.
func (f *Fault) refusal(c *call) reply {
	var a reply
	switch f.Kind {
	case RateLimited:
		a = problem(http.StatusTooManyRequests, "rateLimited", "too many requests").reply()
	case HTMLPage:
		a = reply{cmp.Or(f.Status, http.StatusBadGateway), http.Header{"Content-Type": {"text/html"}}, []byte("<html><head><title>Bad Gateway</title></head><body><h1>Bad Gateway</h1></body></html>")}
	default:
		a = problem(cmp.Or(f.Status, http.StatusInternalServerError), "serverInternal", "something went wrong").reply()
	}
	delay := cmp.Or(f.Delay, time.Hour)
	switch {
	case f.After == AfterDate:
		a.header.Set("Retry-After", c.now.Add(delay).UTC().Format(http.TimeFormat))
	case f.After == AfterAbsurd:
		a.header.Set("Retry-After", "99999999999999999999999")
	case f.After == AfterSeconds, f.After == "" && f.Kind == RateLimited:
		a.header.Set("Retry-After", strconv.Itoa(int(delay/time.Second)))
	}
	return a
}

// scripted refuses a new order for a reason of its own.
func (ca *CA) scripted(c *call, replaces bool) *Problem {
	f := ca.strikes(c.endpoint, c.now, UserActionRequired, AccountGone)
	if f == nil && replaces {
		f = ca.strikes(c.endpoint, c.now, AlreadyReplaced)
	}
	if f == nil {
		return nil
	}
	switch f.Kind {
	case UserActionRequired:
		p := problem(403, "userActionRequired", "the terms of service have changed: agree to them at %s/terms", c.base)
		p.header = http.Header{"Link": {"<" + c.base + `/terms>;rel="terms-of-service"`}}
		return p
	case AccountGone:
		return problem(400, "accountDoesNotExist", "the account does not exist")
	}
	return problem(http.StatusConflict, "alreadyReplaced", "the certificate has a replacement order already")
}

// vanished reports whether a profile is gone.
func (ca *CA) vanished(profile string, now time.Time) bool {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	for _, f := range ca.faults {
		if f.Kind == VanishedProfile && f.Name == profile && !now.Before(f.From) && (f.Until.IsZero() || now.Before(f.Until)) {
			return true
		}
	}
	return false
}
