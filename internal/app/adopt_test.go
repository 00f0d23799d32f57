package app_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/app"
	"github.com/certfleet/certfleet/internal/config"
	"github.com/certfleet/certfleet/internal/pebble"
	"github.com/certfleet/certfleet/internal/porttest"
	"github.com/certfleet/certfleet/internal/store"
)

// lostAndFound is a host whose database comes back from a backup, and a CA that
// lists no orders, as Let's Encrypt does not.
type lostAndFound struct {
	*testing.T
	c      *config.Config
	live   string
	backup string
}

func newLostAndFound(t *testing.T) *lostAndFound {
	t.Helper()
	return newLostAndFoundAt(t, pebble.Options{Wrap: withoutLists})
}

func newLostAndFoundAt(t *testing.T, o pebble.Options) *lostAndFound {
	t.Helper()
	port := porttest.Port(t)
	o.HTTPPort = port
	ca, err := pebble.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ca.Close() })
	dir := t.TempDir()
	s := app.Setup{Path: filepath.Join(dir, "certfleet.yaml"), Authority: "office", Directory: ca.DirectoryURL, Trust: ca.TrustPEM, Agree: true,
		Choices: config.Choices{StateDir: filepath.Join(dir, "state"), API: config.Off, HTTP01: addr(port), TLSALPN01: config.Off}}
	if _, err := app.Init(t.Context(), s, func(app.Made) {}); err != nil {
		t.Fatal(err)
	}
	l := &lostAndFound{T: t, live: filepath.Join(dir, "tls", "live"), backup: filepath.Join(dir, "backup.db")}
	if l.c, err = config.Load(s.Path); err != nil {
		t.Fatal(err)
	}
	l.with(app.Options{}, func(f *fleet) {
		f.tx(t, func(ctx context.Context, tx *store.Tx) error {
			return tx.AddTarget(ctx, &certfleet.StoredTarget{Label: "edge", Type: "files", Spec: []byte(`{"dir":` + quote(filepath.Dir(l.live)) + `}`), Probe: []string{startEdge(t, l.live)}})
		})
	})
	return l
}

func withoutLists(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/list-orderz/") {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusNotFound)
			w.Write([]byte(`{"type":"urn:ietf:params:acme:error:malformed","detail":"no such list","status":404}`))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// with lets do have a node, which is gone afterwards.
func (l *lostAndFound) with(o app.Options, do func(f *fleet)) {
	l.Helper()
	o.Log = testLog(l)
	a, err := app.New(l.Context(), l.c, o)
	if err != nil {
		l.Fatal(err)
	}
	defer a.Close()
	do(&fleet{App: a})
}

// work does all that is due.
func (l *lostAndFound) work(f *fleet) {
	l.Helper()
	if err := f.RunOnce(l.Context(), time.Second); err != nil {
		l.Fatal(err)
	}
}

func (l *lostAndFound) save() {
	l.Helper()
	if err := app.Backup(l.Context(), l.c, l.backup, false, nil); err != nil {
		l.Fatal(err)
	}
}

// restore brings the backup back and adopts.
func (l *lostAndFound) restore() *app.Adoption {
	l.Helper()
	if _, err := app.Restore(l.Context(), l.c, l.backup, app.RestoreOptions{Force: true}); err != nil {
		l.Fatal(err)
	}
	got, err := app.AdoptIssued(l.Context(), l.c, "", func(string) {})
	if err != nil {
		l.Fatal(err)
	}
	return got
}

// renewed makes a certificate, a backup and a renewal, and answers the
// certificate as it was after that.
func (l *lostAndFound) renewed() (after *certfleet.Certificate) {
	l.Helper()
	l.with(app.Options{}, func(f *fleet) {
		c := f.want(l, "default", []string{"edge"}, "shop.example")
		l.work(f)
		l.save()
		before, _ := f.state(l, c.ID)
		before.DueAt = time.Now()
		f.tx(l, func(ctx context.Context, tx *store.Tx) error { return tx.SaveCertificate(ctx, before) })
		l.work(f)
		var why string
		if after, why = f.state(l, c.ID); after.VersionID == before.VersionID {
			l.Fatalf("it did not renew: %s", why)
		}
	})
	return after
}

func (l *lostAndFound) fingerprint(f *fleet, version int64) string {
	l.Helper()
	v, err := f.DB.Version(l.Context(), version)
	if err != nil {
		l.Fatal(err)
	}
	return v.Fingerprint
}

// served is what the only delivery of a version stands at after all work is done.
func (l *lostAndFound) served(f *fleet, version int64) certfleet.DeliveryState {
	l.Helper()
	l.work(f)
	list, _, err := f.DB.Deliveries(l.Context(), store.DeliveryFilter{VersionID: version})
	if err != nil || len(list) != 1 {
		l.Fatalf("%d deliveries, %v", len(list), err)
	}
	return list[0].State
}

func TestAdoptTakesKeyAndChainFromAFolder(t *testing.T) {
	t.Parallel()
	l := newLostAndFound(t)
	after := l.renewed()
	got := l.restore()
	if len(got.Adopted) != 1 || !got.Adopted[0].InUse || got.Adopted[0].Certificate != "shop.example" || !strings.Contains(got.Adopted[0].Where, "target edge") {
		t.Fatalf("adopted %+v, missed %v", got.Adopted, got.Missed)
	}
	l.with(app.Options{}, func(f *fleet) {
		c, _ := f.state(t, after.ID)
		if !c.NotAfter.Equal(after.NotAfter) || time.Until(c.DueAt) < 24*time.Hour {
			t.Errorf("the certificate is good until %s and due at %s, want %s and later", c.NotAfter, c.DueAt, after.NotAfter)
		}
		if state := l.served(f, c.VersionID); state != certfleet.DeliveryServed {
			t.Errorf("what was adopted is %s", state)
		}
		v, _ := f.DB.Version(t.Context(), c.VersionID)
		key, err := f.DB.Key(t.Context(), v.KeyID)
		if err != nil || key.Origin != "imported" || v.AuthorityID == 0 || v.ID < 1_000_000 {
			t.Errorf("its key is %+v, %v; the version %+v", key, err, v)
		}
		if orders, _, _ := f.DB.Orders(t.Context(), store.OrderFilter{CertificateID: c.ID}); len(orders) != 1 {
			t.Errorf("%d orders, want the one of the backup", len(orders))
		}
	})
}

func TestAdoptKnowsItsOwnKeyInAHandshake(t *testing.T) {
	t.Parallel()
	l := newLostAndFound(t)
	l.with(app.Options{}, func(f *fleet) {
		f.tx(t, func(ctx context.Context, tx *store.Tx) error {
			p, err := tx.PolicyByLabel(ctx, 0, "default")
			if err != nil {
				return err
			}
			p.Spec.ReuseKey = true
			return tx.SavePolicy(ctx, p)
		})
	})
	after := l.renewed()
	l.moveTarget()
	got := l.restore()
	if len(got.Adopted) != 1 || !got.Adopted[0].InUse || !strings.HasPrefix(got.Adopted[0].Where, "served at 127.0.0.1:") {
		t.Fatalf("adopted %+v, missed %v", got.Adopted, got.Missed)
	}
	l.with(app.Options{}, func(f *fleet) {
		c, _ := f.state(t, after.ID)
		if v, err := f.DB.Version(t.Context(), c.VersionID); err != nil || v.KeyID == 0 || !v.NotAfter.Equal(after.NotAfter) {
			t.Errorf("in use is %+v, %v", v, err)
		}
	})
}

func TestAdoptTellsOfAServedCertificateWhoseKeyIsLostAndReplacesIt(t *testing.T) {
	t.Parallel()
	l := newLostAndFound(t)
	after := l.renewed()
	l.moveTarget()
	got := l.restore()
	if len(got.Adopted) != 1 {
		t.Fatalf("adopted %+v, missed %v", got.Adopted, got.Missed)
	}
	a := got.Adopted[0]
	if a.InUse || !a.Due || a.Serial == "" || !a.NotAfter.Equal(after.NotAfter) || !strings.Contains(a.Say(), "its key was made after the backup; it will be replaced") {
		t.Errorf("told %+v: %s", a, a.Say())
	}
	l.with(app.Options{}, func(f *fleet) {
		l.work(f)
		c, why := f.state(t, after.ID)
		if !c.NotAfter.After(after.NotAfter.Add(-time.Second)) || time.Until(c.DueAt) < 24*time.Hour || l.fingerprint(f, c.VersionID) == "" {
			t.Errorf("it was not renewed: %s, good until %s", why, c.NotAfter)
		}
		list, _, err := f.DB.Orders(t.Context(), store.OrderFilter{CertificateID: c.ID})
		if err != nil || len(list) != 2 {
			t.Errorf("%d orders, %v; want that of the backup and a new one", len(list), err)
		}
	})
}

// moveTarget gives what lies in the folder names that the target does not know, so
// that what the edge serves can be seen in a handshake alone.
func (l *lostAndFound) moveTarget() {
	l.Helper()
	if err := os.Rename(filepath.Join(filepath.Dir(l.live), "archive"), filepath.Join(filepath.Dir(l.live), "elsewhere")); err != nil {
		l.Fatal(err)
	}
	links, err := filepath.Glob(filepath.Join(l.live, "*"))
	if err != nil || len(links) == 0 {
		l.Fatalf("links %v, %v", links, err)
	}
	for _, link := range links {
		to, err := os.Readlink(link)
		if err != nil {
			l.Fatal(err)
		}
		if err := os.Remove(link); err != nil {
			l.Fatal(err)
		}
		if err := os.Symlink(strings.Replace(to, "/archive/", "/elsewhere/", 1), filepath.Join(l.live, "strange-"+filepath.Base(link))); err != nil {
			l.Fatal(err)
		}
	}
}

func TestAdoptGoesOnWithAnOrderThatWasOpen(t *testing.T) {
	t.Parallel()
	l := newLostAndFound(t)
	var id int64
	saved := false
	l.with(app.Options{After: func(place string) {
		if place == "finalized" && !saved {
			saved = true
			l.save()
		}
	}}, func(f *fleet) {
		id = f.want(t, "default", []string{"edge"}, "open.example").ID
		l.work(f)
	})
	if !saved {
		t.Fatal("no backup was made in the middle of the order")
	}
	l.moveTarget()
	got := l.restore()
	if got.Orders != 1 || len(got.Adopted) != 1 || !got.Adopted[0].InUse || !strings.Contains(got.Adopted[0].Where, "which was open") {
		t.Fatalf("%+v", got)
	}
	l.with(app.Options{}, func(f *fleet) {
		if c, why := f.state(t, id); c.VersionID == 0 || !strings.HasPrefix(why, "issued") {
			t.Errorf("the order is %s", why)
		}
	})
}

func TestNothingCountsAsServedAfterARestoreUntilItIsSeen(t *testing.T) {
	t.Parallel()
	l := newLostAndFound(t)
	var version int64
	l.with(app.Options{}, func(f *fleet) {
		c := f.want(t, "default", []string{"edge"}, "shop.example")
		l.work(f)
		c, _ = f.state(t, c.ID)
		version = c.VersionID
		if state := l.served(f, version); state != certfleet.DeliveryServed {
			t.Fatalf("at first it is %s", state)
		}
		l.save()
	})
	if err := os.RemoveAll(filepath.Dir(l.live)); err != nil {
		t.Fatal(err)
	}
	if _, err := app.Restore(t.Context(), l.c, l.backup, app.RestoreOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	l.with(app.Options{}, func(f *fleet) {
		list, _, err := f.DB.Deliveries(t.Context(), store.DeliveryFilter{VersionID: version})
		if err != nil || len(list) != 1 || list[0].State == certfleet.DeliveryServed || list[0].DueAt.After(time.Now()) {
			t.Errorf("right after it %+v, %v", list, err)
		}
		if state := l.served(f, version); state == certfleet.DeliveryServed {
			t.Error("it counts as served, and nothing serves it")
		}
	})
}

// TestAdoptSettlesAnAccountWhoseKeyWasChanging makes the backup when the CA had the
// new key of the account, and its answer had not been written down.
func TestAdoptSettlesAnAccountWhoseKeyWasChanging(t *testing.T) {
	t.Parallel()
	l := newLostAndFoundAt(t, pebble.Options{})
	l.with(app.Options{}, func(f *fleet) {
		f.want(l, "default", []string{"edge"}, "before.example")
		l.work(f)
	})
	l.with(app.Options{After: func(at string) {
		if at == "rolled over" {
			panic(at)
		}
	}}, func(f *fleet) {
		defer func() { recover() }()
		err := f.Issue.Rollover(t.Context(), 1, certfleet.P256)
		t.Errorf("it did not break off: %v", err)
	})
	l.save()
	l.with(app.Options{}, func(f *fleet) {
		f.want(l, "default", []string{"edge"}, "later.example")
		l.work(f)
	})
	got := l.restore()
	if len(got.Missed) != 0 {
		t.Errorf("missed %v", got.Missed)
	}
	l.with(app.Options{}, func(f *fleet) {
		acct, err := f.DB.Account(t.Context(), 1)
		if err != nil || acct.NextKeyID != 0 {
			t.Errorf("account is %+v, %v; want it settled", acct, err)
		}
	})
}
