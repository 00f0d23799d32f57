package issue_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/fakeca"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
	"github.com/certfleet/certfleet/internal/trial"
)

// TestADayByRiver has certificates of 6, 45 and 90 days come to their windows on one
// day, by one node for which River hands out the work, with a CA that is gone for
// some of its hours. Made-up time is not free here: an hour in which nothing happens
// costs three seconds, two of which River looks into its queues, each every five
// seconds and by a statement that is parsed anew.
func TestADayByRiver(t *testing.T) {
	trial.InFull(t)
	t.Parallel()
	hours, gone, each := 90*time.Minute, 30*time.Minute, 40
	if trial.Long() {
		hours, gone, each = 24*time.Hour, 4*time.Hour, 150
	}
	file := storetest.EmptySQLiteFile(t)
	synctest.Test(t, func(t *testing.T) {
		db, err := store.Open(t.Context(), file, store.Options{Fast: true})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		f := newFleet(t, db, fakeca.Options{Profiles: mixed(), Seed: 3, Faults: []fakeca.Fault{{Kind: fakeca.BadNonce, Share: 0.05}}})
		first := f.sow(each, hours)
		d := &desk{ca: f.ca.RoundTripper()}
		began, before := time.Now(), f.ca.Stats()
		down, up := began.Add(hours/4), began.Add(hours/4+gone)
		f.ca.Inject(fakeca.Fault{Kind: fakeca.Outage, From: down, Until: up})
		stop := f.river(d, 1)
		for time.Since(began) < hours {
			time.Sleep(time.Minute)
			if n, err := f.db.Expired(t.Context(), time.Now()); err != nil || n != 0 {
				t.Fatalf("%d certificates have expired after %s: %v", n, time.Since(began), err)
			}
		}
		stop()
		f.unbroken()
		after := f.ca.Stats()
		t.Logf("%d orders, %d in their window, %d late, %d early, %d requests failed", after.Orders-before.Orders, after.InWindow-before.InWindow, after.Late-before.Late, after.Early-before.Early, after.Faults)
		f.renewed(first, began.Add(hours-10*time.Minute))
		excused := 0
		for _, v := range first {
			if v.ARIEnd.After(down) && v.ARIEnd.Before(up.Add(10*time.Minute)) {
				excused++
			}
		}
		if late := after.Late - before.Late; late > excused || after.Early != before.Early {
			t.Errorf("%d renewals came after their window, and the outage explains %d; %d came before it", late, excused, after.Early-before.Early)
		}
	})
}

// mixed are lives of 90 days, 45 days and 160 hours, whatever the date.
func mixed() []fakeca.Profile {
	all := fakeca.LetsEncryptProfiles()
	for i, life := range []time.Duration{90 * dayLong, 45 * dayLong, 160 * time.Hour} {
		all[i].Terms = []fakeca.Term{{Life: life, Reuse: time.Hour}}
	}
	return all
}

// sow issues certificates of each life over so many hours, so long ago that their
// windows begin to come now, and returns their versions.
func (f *fleet) sow(each int, hours time.Duration) []certfleet.Version {
	f.Helper()
	end := time.Now().Add(61 * dayLong)
	for i, life := range []time.Duration{90 * dayLong, 45 * dayLong, 160 * time.Hour} {
		name := fakeca.LetsEncryptProfiles()[i].Name
		f.profile(name)
		lead := life * 2 / 3
		if life < 10*dayLong {
			lead = life / 2
		}
		time.Sleep(time.Until(end.Add(-lead)))
		for n := range each {
			f.want(certfleet.LaneNew, many(name+"-%d.example", n+1)[n:]...)
			f.ticks()
			time.Sleep(hours * 3 / 4 / time.Duration(each))
		}
	}
	time.Sleep(time.Until(end.Add(hours / 8)))
	list, _, err := f.db.Versions(f.Context(), store.VersionFilter{Limit: 1000})
	if err != nil || len(list) != 3*each {
		f.Fatalf("%d versions: %v", len(list), err)
	}
	return list
}

// ticks works until nothing is due but in a while.
func (f *fleet) ticks() {
	f.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(time.Second) {
		if _, err := f.work.Tick(f.Context(), time.Now(), 0); err != nil {
			f.Fatal(err)
		}
	}
}

// renewed wants a successor of every version whose renewal was due until then.
func (f *fleet) renewed(first []certfleet.Version, until time.Time) {
	f.Helper()
	due := 0
	for _, v := range first {
		if v.ARIAt.After(until) {
			continue
		}
		due++
		if c := f.certificate(v.CertificateID); c.VersionID == v.ID {
			f.Errorf("%s, due %s, is not renewed: %s %s", c.Label, v.ARIAt, c.DueReason, c.Problem)
		}
	}
	if due < len(first)/3 || !slices.ContainsFunc(first, func(v certfleet.Version) bool { return v.Profile == "classic" && !v.ARIAt.After(until) }) {
		f.Errorf("%d of %d came to their renewal", due, len(first))
	}
}
