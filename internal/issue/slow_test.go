package issue_test

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/fakeca"
	"github.com/certfleet/certfleet/internal/store"
)

// TestAHundredNamesAtASlowCAAreAskedForOnce has every answer take two seconds, so
// that no step is long enough for all names.
func TestAHundredNamesAtASlowCAAreAskedForOnce(t *testing.T) {
	t.Parallel()
	o := fakeca.Options{Faults: []fakeca.Fault{{Kind: fakeca.Slow, Delay: 2 * time.Second}}}
	bubble(t, o, func(f *fleet) {
		f.policy.Spec.Profile = "classic"
		f.tx(func(ctx context.Context, tx *store.Tx) error { return tx.SavePolicy(ctx, f.policy) })
		c := f.want(certfleet.LaneNew, strings.Join(many("n%d.great.example", 100), ","))[0]
		f.live(15 * time.Minute)
		if got := f.certificate(c.ID); got.VersionID == 0 || got.Failures != 0 {
			t.Errorf("not issued in a quarter of an hour: %q", got.Problem)
		}
		if n := f.ca.Stats().Requests; n["authz"] != 100 || n["challenge"] != 100 {
			t.Errorf("100 names were asked for %d times and answered %d times", n["authz"], n["challenge"])
		}
	})
}

// TestAnAnswerThatIsRefusedForgetsNoOther has the CA break off among the answers.
func TestAnAnswerThatIsRefusedForgetsNoOther(t *testing.T) {
	t.Parallel()
	bubble(t, fakeca.Options{ValidationDelay: time.Minute}, func(f *fleet) {
		f.ca.Inject(fakeca.Fault{Kind: fakeca.Dropped, Endpoint: "challenge", Share: 0.3})
		c := f.want(certfleet.LaneNew, strings.Join(many("n%d.great.example", 20), ","))[0]
		f.live(time.Hour)
		if got := f.certificate(c.ID); got.VersionID == 0 {
			t.Errorf("not issued: %q", got.Problem)
		}
		if s := f.ca.Stats(); s.Requests["challenge"]-s.Faults > 20 {
			t.Errorf("20 challenges were answered %d times, %d of which were cut off", s.Requests["challenge"], s.Faults)
		}
	})
}

// patient is a CA that says of every authorization and order when to come again.
type patient struct {
	to    http.RoundTripper
	after string
}

func (p patient) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := p.to.RoundTrip(r)
	if err == nil && resp.StatusCode < 300 {
		resp.Header.Set("Retry-After", p.after)
	}
	return resp, err
}

func TestACAIsNotAskedBeforeItSaid(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what        string
		lane        certfleet.Lane
		least, most int // how often an authorization is asked about
	}{
		{"a new certificate", certfleet.LaneNew, 2, 4},
		{"an emergency", certfleet.LaneEmergency, 9, 13},
	} {
		bubble(t, fakeca.Options{ValidationDelay: 50 * time.Minute}, func(f *fleet) {
			r, w := f.node("b", nil)
			f.over(r, patient{f.ca.RoundTripper(), "1200"})
			f.work = w
			cert := f.want(c.lane, "patient.example")[0]
			f.live(2 * time.Hour)
			if f.certificate(cert.ID).VersionID == 0 {
				t.Errorf("%s: not issued: %q", c.what, f.certificate(cert.ID).Problem)
			}
			if n := f.ca.Stats().Requests["authz"]; n < c.least || n > c.most {
				t.Errorf("%s: with a Retry-After of 20 minutes it was asked about %d times in 50, want %d to %d", c.what, n, c.least, c.most)
			}
		})
	}
}

// TestACAThatNeverLooksIsGivenUp has challenges stay in processing for days, or
// pending, as Boulder shows them.
func TestACAThatNeverLooksIsGivenUp(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		over func(http.RoundTripper) http.RoundTripper
		typ  certfleet.ChallengeType
		most int // how often an authorization is asked about; one that is pending is answered again, and then looked at sooner
	}{
		"processing":              {func(rt http.RoundTripper) http.RoundTripper { return rt }, certfleet.HTTP01, 80},
		"pending":                 {func(rt http.RoundTripper) http.RoundTripper { return silent{rt, &atomic.Int64{}} }, certfleet.HTTP01, 350},
		"pending, by a handshake": {func(rt http.RoundTripper) http.RoundTripper { return silent{rt, &atomic.Int64{}} }, certfleet.TLSALPN01, 350},
	} {
		bubble(t, fakeca.Options{ValidationDelay: 100 * time.Hour}, func(f *fleet) {
			f.policy.Spec.Profile = "classic" // whose authorizations are pending for a week
			f.policy.Spec.Challenge = c.typ
			f.tx(func(ctx context.Context, tx *store.Tx) error { return tx.SavePolicy(ctx, f.policy) })
			r, w := f.node("b", nil)
			f.over(r, c.over(f.ca.RoundTripper()))
			f.work = w
			cert := f.want(certfleet.LaneNew, "stuck.example")[0]
			f.live(5 * time.Hour)
			if got := f.certificate(cert.ID); got.Failures != 0 {
				t.Errorf("%s: given up after five hours: %q", what, got.Problem)
			}
			asked := f.ca.Stats().Requests["authz"]
			f.live(2 * time.Hour)
			o, err := f.first(cert.ID)
			if err != nil || o.State != certfleet.OrderFailed || o.ProblemType != "stuck" || o.Advice == "" {
				t.Errorf("%s: after seven hours the order is %+v, %v", what, o, err)
			}
			if asked > c.most {
				t.Errorf("%s: the CA was asked %d times in five hours, want %d at most", what, asked, c.most)
			}
		})
	}
}

// blinking is a solver whose record cannot be seen for a while.
type blinking struct {
	records
	from, until time.Time
	looked      *int // while it could not be seen
}

func (b blinking) Ready(context.Context, certfleet.Challenge, []byte) (bool, string, error) {
	if now := time.Now(); now.Before(b.from) || now.After(b.until) {
		return true, "", nil
	}
	*b.looked++
	return false, "a name server is away", nil
}

// TestARecordThatWasSeenMayBeOutOfSightForAWhile has the CA be told again of a record
// that is away for some minutes, long after it was made.
func TestARecordThatWasSeenMayBeOutOfSightForAWhile(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		away time.Duration
		fail bool
	}{{5 * time.Minute, false}, {4 * time.Hour, true}} {
		bubble(t, fakeca.Options{ValidationDelay: 100 * time.Hour}, func(f *fleet) {
			f.policy.Spec.Profile, f.policy.Spec.Challenge = "classic", certfleet.DNS01
			f.tx(func(ctx context.Context, tx *store.Tx) error { return tx.SavePolicy(ctx, f.policy) })
			z := blinking{records{}, time.Now().Add(20 * time.Minute), time.Now().Add(20*time.Minute + c.away), new(int)}
			r, w := f.node("b", nil)
			r.Solver = func(certfleet.ChallengeType, string) (certfleet.Solver, error) { return z, nil }
			f.over(r, silent{f.ca.RoundTripper(), &atomic.Int64{}})
			f.work = w
			cert := f.want(certfleet.LaneNew, "away.example")[0]
			f.live(3 * time.Hour)
			o, err := f.first(cert.ID)
			if err != nil || (o.State == certfleet.OrderFailed) != c.fail || c.fail != (o.ProblemType == "notVisible") {
				t.Errorf("away for %s: the order is %s, %q, %v", c.away, o.State, o.Problem, err)
			}
			if *z.looked == 0 {
				t.Errorf("away for %s: nobody looked then", c.away)
			}
		})
	}
}

// first is the first order of a certificate.
func (f *fleet) first(certificate int64) (*certfleet.Order, error) {
	list, _, err := f.db.Orders(f.Context(), store.OrderFilter{CertificateID: certificate})
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return &list[len(list)-1], nil
}

// TestACAThatNeverSignsIsGivenUp has a finalized order stay in processing.
func TestACAThatNeverSignsIsGivenUp(t *testing.T) {
	t.Parallel()
	bubble(t, fakeca.Options{Faults: []fakeca.Fault{{Kind: fakeca.Stuck, Times: 1}}}, func(f *fleet) {
		c := f.want(certfleet.LaneNew, "unsigned.example")[0]
		f.live(70 * time.Hour)
		if got := f.certificate(c.ID); got.Failures != 0 {
			t.Errorf("given up before three days: %q", got.Problem)
		}
		f.live(5 * time.Hour)
		if got := f.certificate(c.ID); got.VersionID == 0 {
			t.Errorf("after three days it is not given up: %+v", got)
		}
		if n := f.ca.Stats().Requests["order"]; n > 150 {
			t.Errorf("the CA was asked %d times in three days", n)
		}
	})
}
