package web

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/store"
)

// tell makes sentences of the facts. It reads nothing.
func (st *story) tell() {
	if st.cert == nil {
		st.unknown()
		return
	}
	st.w.DueAt, st.w.DueReason = st.cert.DueAt, st.cert.DueReason
	st.problem()
	st.w.Verdict = st.verdict()
	st.w.NextStep = st.next()
	st.sayWanted()
	if len(st.w.Also) > 0 {
		st.say("It is also in %s.", strings.Join(st.w.Also, ", "))
	}
	st.sayHave()
	st.sayBackup()
	st.sayServed()
	st.sayDue()
	if st.w.Problem != "" {
		st.say("The last problem%s: %s.", when(", "+ago(st.now, st.w.ProblemAt), st.w.ProblemAt), strings.TrimSuffix(st.w.Problem, "."))
	}
	for _, p := range st.pauses {
		st.say("The CA told us to wait until %s: %s.", p.Until.UTC().Format(time.RFC3339), p.Reason)
	}
	if st.w.Advice != "" {
		st.say("Advice: %s.", st.w.Advice)
	}
	st.say("Next: %s.", st.w.NextStep)
}

func (st *story) say(format string, args ...any) {
	st.w.Sentences = append(st.w.Sentences, fmt.Sprintf(format, args...))
}

func (st *story) subject() string {
	if !st.name.IsZero() {
		return st.name.String()
	}
	return st.w.Subject
}

func (st *story) unknown() {
	st.w.Verdict, st.w.Advice = "unknown", "add a certificate for it: certfleet add "+st.subject()
	st.w.NextStep = "nothing happens by itself: no certificate wants it"
	st.w.Sentences = []string{st.subject() + " is not known here: no certificate wants it.", "Advice: " + st.w.Advice + ".", "Next: " + st.w.NextStep + "."}
}

// problem is the most recent thing that went wrong: of the order that is on its
// way, of the certificate, or of a delivery.
func (st *story) problem() {
	c, o := st.cert, st.order
	switch {
	case o != nil && o.Live() && o.Problem != "":
		st.w.Problem, st.w.Advice, st.w.ProblemAt = o.Problem, o.Advice, time.Time{}
	case c.Problem != "":
		st.w.Problem, st.w.Advice, st.w.ProblemAt = c.Problem, c.Advice, c.FailedAt
	default:
		for _, d := range st.sent {
			if d.Problem != "" {
				st.w.Problem, st.w.Advice = d.Target+": "+d.Problem, d.Advice
				return
			}
		}
		st.overdue()
	}
}

// overdue is what somebody else should have renewed by now.
func (st *story) overdue() {
	c := st.cert
	if c.External == "" || c.UrgentAt.IsZero() || st.now.Before(c.UrgentAt) {
		return
	}
	st.w.Problem = c.External + " has not renewed it in time"
	st.w.Advice = "look why, where " + c.External + " runs; or have it renewed here with certfleet resume " + c.Label
}

// verdict is how it stands in one word.
func (st *story) verdict() string {
	c := st.cert
	switch {
	case c.State != certfleet.Active && c.External == "":
		return string(c.State)
	case st.version == nil && c.Failures > 0:
		return "failing"
	case st.version == nil:
		return "waiting"
	case !st.version.NotAfter.After(st.now):
		return "expired"
	case c.Failures > 0:
		return "failing"
	case len(st.sent) == 0:
		return "valid"
	}
	for _, d := range st.sent {
		if d.State != certfleet.DeliveryServed {
			return "unproven"
		}
	}
	return "served"
}

func (st *story) sayWanted() {
	c := st.cert
	if c.External == "" {
		st.say("%s is wanted by certificate %s, which is %s.", st.subject(), c.Label, c.State)
		return
	}
	st.say("%s is wanted by certificate %s, which %s renews.", st.subject(), c.Label, c.External)
	st.say("It was last taken over at %s, %s.", c.ExternalAt.Format(time.RFC3339), ago(st.now, c.ExternalAt))
}

func (st *story) sayHave() {
	v := st.version
	if v == nil {
		st.say("It has no certificate yet.")
		return
	}
	state := "valid for " + until(st.now, v.NotAfter)
	if !v.NotAfter.After(st.now) {
		state = "expired " + ago(st.now, v.NotAfter)
	}
	if !v.RevokedAt.IsZero() {
		state = "revoked " + ago(st.now, v.RevokedAt)
	}
	st.say("We have serial %s from %s, %s (until %s).", v.Serial, cmp.Or(v.Issuer, "an unnamed issuer"), state, v.NotAfter.Format(time.RFC3339))
}

func (st *story) sayServed() {
	if st.version == nil {
		return
	}
	if len(st.sent) == 0 {
		st.say("It is delivered nowhere: the certificate has no target.")
		return
	}
	for _, s := range st.served {
		switch {
		case s.Address == "":
			st.say("At target %s it is %s; nobody has looked at it in a handshake%s.", s.Target, s.State, reason(s.Problem))
		case s.Ours:
			st.say("Target %s serves it at %s, seen %s.", s.Target, s.Address, ago(st.now, s.At))
		default:
			st.say("Target %s does not serve it at %s, looked %s%s.", s.Target, s.Address, ago(st.now, s.At), reason(cmp.Or(s.Problem, "another certificate is served")))
		}
	}
}

func reason(problem string) string {
	if problem == "" {
		return ""
	}
	return ": " + problem
}

func (st *story) sayDue() {
	c, o := st.cert, st.order
	switch {
	case o != nil && o.Live():
		st.say("Order %d is on its way since %s: it is %s%s.", o.ID, ago(st.now, o.CreatedAt), o.State, when(", the CA says "+o.CAStatus, o.CAStatus))
		st.sayHolder(o)
	case c.State == certfleet.Parked && !c.DueAt.IsZero():
		st.say("It is parked: its names have left us. They are looked at again %s (%s), without asking the CA.", in(st.now, c.DueAt), c.DueAt.Format(time.RFC3339))
	case !c.DueAt.IsZero():
		st.say("The next order opens %s (%s): %s.", in(st.now, c.DueAt), c.DueAt.Format(time.RFC3339), cmp.Or(c.DueReason, "it is due"))
	case c.State == certfleet.Active:
		st.say("No order is due.")
	}
}

// sayHolder names the node that works on an order, and when another may: a node
// that hangs, or whose host is gone, keeps the order for as long as its claim.
func (st *story) sayHolder(o *certfleet.Order) {
	if o.Owner == "" || !o.LeaseUntil.After(st.now) {
		return
	}
	st.say("Node %s works on it; if that node is gone, the order is free %s.", host(o.Owner), in(st.now, o.LeaseUntil))
}

// host is what people are told of an owner: its host and its process.
func host(owner string) string {
	parts := strings.Split(owner, "/")
	return strings.Join(parts[:min(len(parts), 2)], "/")
}

// next is what happens next, by itself or by somebody.
func (st *story) next() string {
	c, o := st.cert, st.order
	switch {
	case c.State == certfleet.Removed:
		return "nothing: it was removed; add it again to have it back"
	case o != nil && o.Live() && o.Manual:
		return fmt.Sprintf("step order %d by request: certfleet orders step %d", o.ID, o.ID)
	case o != nil && o.Live():
		return "the order goes on " + in(st.now, o.DueAt)
	case c.State == certfleet.Parked:
		return "an order opens when its names are back; to try at once: certfleet resume " + c.Label
	case c.State != certfleet.Active && c.External == "":
		return "nothing until it is resumed: certfleet resume " + c.Label
	case !c.DueAt.IsZero() && c.Failures > 0:
		return "another order is tried " + in(st.now, c.DueAt)
	}
	for _, d := range st.sent {
		if d.State != certfleet.DeliveryServed && !d.DueAt.IsZero() {
			return fmt.Sprintf("target %s is tried or looked at again %s", d.Target, in(st.now, d.DueAt))
		}
	}
	if c.External != "" {
		return c.External + " renews it, and " + takesOver(c.External) + "; to have it renewed here instead: certfleet resume " + c.Label
	}
	if !c.DueAt.IsZero() {
		return "an order opens " + in(st.now, c.DueAt)
	}
	return "nothing is due"
}

// when leaves a phrase out when what it speaks of is not there.
func when[T comparable](phrase string, v T) string {
	var zero T
	if v == zero {
		return ""
	}
	return phrase
}

func ago(now, t time.Time) string {
	if t.IsZero() {
		return "at an unknown time"
	}
	return span(now.Sub(t)) + " ago"
}

func until(now, t time.Time) string { return span(t.Sub(now)) }

func in(now, t time.Time) string {
	if !t.After(now) {
		return "now"
	}
	return "in " + span(t.Sub(now))
}

// span is a time in words that people use.
func span(d time.Duration) string {
	for _, u := range []struct {
		unit time.Duration
		word string
	}{{24 * time.Hour, "days"}, {time.Hour, "hours"}, {time.Minute, "minutes"}} {
		if d >= 2*u.unit {
			return fmt.Sprintf("%d %s", d/u.unit, u.word)
		}
	}
	if d/time.Second == 1 {
		return "1 second"
	}
	return fmt.Sprintf("%d seconds", max(0, d/time.Second))
}

func ofPause(p *store.PauseRow) api.Pause {
	w := api.Pause{Key: p.Key, Until: p.Until, Reason: p.Reason, At: p.At}
	if p.Until.IsZero() {
		w.Help = strings.TrimRight(pageOf.FindString(p.Reason), ".,;:!?")
	}
	return w
}

// pageOf finds the page that a CA points to.
var pageOf = regexp.MustCompile(`https://[A-Za-z0-9._~:/?#@!$&*+,;=%-]+`)
