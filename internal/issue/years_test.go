package issue_test

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/acme"
	"github.com/certfleet/certfleet/internal/fakeca"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
	"github.com/certfleet/certfleet/internal/trial"
)

// dayLong is a night and a day.
const dayLong = 24 * time.Hour

// rare is a CA that wants to be asked for windows once a day, which makes years short.
type rare struct{ http.RoundTripper }

func (r rare) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := r.RoundTripper.RoundTrip(req)
	if err == nil && resp.Header.Get("Retry-After") != "" && req.Method == http.MethodGet {
		resp.Header.Set("Retry-After", "86400")
	}
	return resp, err
}

// changing are profiles whose lives shrink: 90 days, then 64, then 45; always 45;
// and 160 hours. The bubble's clock starts in 2000.
func changing() []fakeca.Profile {
	all := fakeca.LetsEncryptProfiles()
	at := func(y int, m time.Month) time.Time { return time.Date(y, m, 1, 0, 0, 0, 0, time.UTC) }
	all[0].Terms = []fakeca.Term{{Life: 90 * dayLong, Reuse: 7 * time.Hour}, {From: at(2000, 4), Life: 64 * dayLong, Reuse: 7 * time.Hour}, {From: at(2000, 9), Life: 45 * dayLong, Reuse: 7 * time.Hour}}
	all[1].Terms = []fakeca.Term{{Life: 45 * dayLong, Reuse: 7 * time.Hour}}
	return all
}

// TestYearsWithinAllLimits walks every step of every order for a year: lives of
// 90, 64, 45 and 6 days, refused nonces, a CA that is gone for three days when a
// six-day certificate is due, and a mass revocation.
func TestYearsWithinAllLimits(t *testing.T) {
	trial.InFull(t)
	t.Parallel()
	per, days := map[string]int{"classic": 4, "tlsserver": 3, "shortlived": 1}, 365
	if trial.Long() {
		per, days = map[string]int{"classic": 40, "tlsserver": 40, "shortlived": 20}, 730
	}
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, storetest.SQLite(t), fakeca.Options{Profiles: changing(), Seed: 5, Faults: []fakeca.Fault{{Kind: fakeca.BadNonce, Share: 0.05}}})
		f.room.Client = func(a *certfleet.Authority, record func(context.Context, certfleet.Exchange)) (*acme.Client, error) {
			return acme.New(acme.Options{DirectoryURL: a.DirectoryURL, HTTP: &http.Client{Transport: rare{f.ca.RoundTripper()}}, Record: record}), nil
		}
		f.room.Forget(f.auth.ID)
		for _, profile := range slices.Sorted(maps.Keys(per)) {
			f.profile(profile)
			f.want(certfleet.LaneNew, many(profile+"-%d.example", per[profile])...)
		}
		y := &years{fleet: f, began: time.Now()}
		y.live(time.Duration(days) * dayLong)
		y.judge()
	})
}

// years are what happened to a fleet, and until when being late is explained.
type years struct {
	*fleet
	began     time.Time
	down      bool
	revoked   int
	late      int
	explained time.Time
}

// profile makes a policy that the next certificates have.
func (f *fleet) profile(name string) {
	f.policy = &certfleet.Policy{Label: name, Spec: certfleet.PolicySpec{Authorities: []string{f.auth.Label}, Profile: name}}
	f.tx(func(ctx context.Context, tx *store.Tx) error { return tx.AddPolicy(ctx, f.policy) })
}

func (y *years) live(length time.Duration) {
	for end := y.began.Add(length); time.Now().Before(end); {
		y.happen()
		if _, err := y.work.Tick(y.Context(), time.Now(), 0); err != nil {
			y.Fatal(err)
		}
		y.look()
		next, err := y.db.NextDue(y.Context())
		if err != nil || next.IsZero() {
			y.Fatalf("nothing is due any more: %v", err)
		}
		time.Sleep(max(time.Until(next), time.Millisecond))
	}
}

// happen takes the CA away when a six-day certificate is due, and revokes.
func (y *years) happen() {
	now, age := time.Now(), time.Since(y.began)
	if !y.down && age > 100*dayLong && y.shortIsDue(now) {
		y.down = true
		y.ca.Inject(fakeca.Fault{Kind: fakeca.Outage, From: now, Until: now.Add(3 * dayLong)})
		y.explained = now.Add(3*dayLong + time.Hour)
	}
	if y.revoked == 0 && age > 200*dayLong {
		y.revoked = y.ca.MassRevoke(0, y.ca.Some(0.5))
		y.explained = now.Add(dayLong + time.Hour)
	}
}

func (y *years) shortIsDue(now time.Time) bool {
	due, err := y.db.DueCertificates(y.Context(), now, 100)
	if err != nil {
		y.Fatal(err)
	}
	return slices.ContainsFunc(due, func(c certfleet.Certificate) bool { return c.Label[0] == 's' })
}

// look wants nothing to have expired, and nobody late without a reason.
func (y *years) look() {
	if n, err := y.db.Expired(y.Context(), time.Now()); err != nil || n != 0 {
		y.Fatalf("%d certificates have expired on day %d: %v", n, int(time.Since(y.began)/dayLong), err)
	}
	late := y.ca.Stats().Late
	if late > y.late && time.Now().After(y.explained) {
		y.Errorf("%d renewals came after their window on day %d, for no reason", late-y.late, int(time.Since(y.began)/dayLong))
	}
	y.late = late
}

func (y *years) judge() {
	s := y.ca.Stats()
	y.Logf("%d orders, %d in their window, %d early, %d late; %d revoked", s.Orders, s.InWindow, s.Early, s.Late, y.revoked)
	if s.Early != 0 || s.Late == 0 || s.InWindow < s.Orders*3/4 {
		y.Errorf("of %d orders %d came in their window, %d before and %d after it", s.Orders, s.InWindow, s.Early, s.Late)
	}
	if !y.down || y.revoked == 0 || s.Faults == 0 {
		y.Errorf("outage %v, %d revoked, %d faults: what was to happen did not", y.down, y.revoked, s.Faults)
	}
	y.unbroken()
}

// TestARehearsedOrderAsksAsOftenAsARealOne keeps the requests that simulations
// count at those that a node makes.
func TestARehearsedOrderAsksAsOftenAsARealOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, storetest.SQLite(t), fakeca.Options{})
		before := f.ca.Stats().Requests
		f.want(certfleet.LaneNew, "one.example")
		f.live(time.Minute)
		if f.issued() != 1 {
			t.Fatal("it was not issued")
		}
		want := map[string]int{}
		for _, e := range fakeca.Conversation {
			want[e]++
		}
		for e, n := range f.ca.Stats().Requests {
			if n -= before[e]; n != want[e] && e != "renewalInfo" && e != "directory" && e != "newNonce" {
				t.Errorf("a real order makes %d requests to %s, a rehearsed one %d", n, e, want[e])
			}
		}
	})
}
