package issue

import (
	"context"
	"slices"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/acme"
	"github.com/certfleet/certfleet/internal/plan"
)

// turnTime is how long a step asks a CA for authorizations, and how long it then
// answers challenges, before it commits what it has and leaves the rest to the next
// step: a hundred names at a slow CA take longer than a step may.
const turnTime = time.Minute

// askAuthorizations asks for each that we do not know to be valid; if that leaves
// none although the order is pending, it asks for all. More reports that some were
// never asked for yet; beside an error are those that had been answered before it.
func (r *Room) askAuthorizations(ctx context.Context, j *job, ord acme.Order) (out []acme.Authorization, more bool, err error) {
	known, err := r.DB.AuthorizationsOf(ctx, j.order.ID)
	if err != nil {
		return nil, false, err
	}
	ask, fresh := toAsk(ord.Authorizations, known)
	began := time.Now()
	for n, u := range ask {
		if n > 0 && time.Since(began) > turnTime {
			return out, n < fresh, nil
		}
		z, err := j.client.GetAuthorization(ctx, j.as, u)
		if err != nil {
			return out, false, err
		}
		out = append(out, z)
	}
	return out, false, nil
}

// toAsk is what to ask for: those that nothing is known of, and when there are none
// those that were seen longest ago first. Fresh is how many the former are.
func toAsk(urls []string, known []certfleet.Authorization) (ask []string, fresh int) {
	seen, valid := map[string]time.Time{}, map[string]bool{}
	for _, a := range known {
		seen[a.URL], valid[a.URL] = a.SeenAt, a.Status == statusValid
	}
	ask = slices.DeleteFunc(slices.Clone(urls), func(u string) bool { return valid[u] })
	if len(ask) == 0 {
		ask = slices.Clone(urls)
	}
	slices.SortStableFunc(ask, func(a, b string) int { return seen[a].Compare(seen[b]) })
	for _, u := range ask {
		if seen[u].IsZero() {
			fresh++
		}
	}
	if fresh > 0 {
		ask = ask[:fresh] // the order itself tells when the others are valid
	}
	return ask, fresh
}

// lookLeast is how long a CA has to look after it was told to, whatever was before:
// it may have been away, or we.
const lookLeast = 15 * time.Minute

// skew is how far a CA's clock may be from ours.
const skew = time.Hour

// endless reports whether a CA takes too long to look at a challenge, or keeps an
// authorization pending that should have expired. A step after one that went wrong
// does not judge: the CA may only just be back.
func endless(j *job, work []*pending) (failure, bool) {
	for _, p := range work {
		name := p.authz.Name.String()
		switch {
		case j.order.Attempts > 0, p.waits(j.now), p.stored.AnsweredAt.IsZero(), j.now.Sub(p.stored.AnsweredAt) < lookLeast:
		case !p.authz.Expires.IsZero() && j.now.After(p.authz.Expires.Add(skew)):
			return failure{typ: "expired", msg: "the authorization of " + name + " expired at " + p.authz.Expires.Format(time.RFC3339) + ", and the CA has not looked at its challenge", advice: "wait: a new order follows"}, true
		case j.now.After(plan.EnduredUntil(p.stored.IntendedAt, j.cert.NotAfter, plan.LookMost)):
			return stuck("the CA has not looked at the challenge of "+name+" since "+p.stored.IntendedAt.Format(time.RFC3339)+": it is "+p.ch.Status, j), true
		}
	}
	return failure{}, false
}

// stuck is the failure of an order whose CA took too long.
func stuck(msg string, j *job) failure {
	return failure{typ: "stuck", msg: msg, advice: "wait: a new order follows; if this goes on, ask the CA about order " + j.order.URL}
}
