package issue_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/fakeca"
	"github.com/certfleet/certfleet/internal/issue"
	"github.com/certfleet/certfleet/internal/pebble"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
	"github.com/certfleet/certfleet/internal/trial"
	"github.com/certfleet/certfleet/internal/work"
)

// the ways in which an account's key is changed while an order is at a place: by
// another node, by one that dies before it commits what the CA did, and while
// nobody works on the order.
var changes = []string{"by another node", "by one that dies", "between steps"}

// roll changes the account's key at the CA, as another process.
func roll(t *testing.T, node *issue.Room, account int64, typ certfleet.KeyType, dies bool) {
	t.Helper()
	defer func() {
		if p := recover(); p != nil && p != any(died{"rolled over"}) {
			panic(p)
		}
	}()
	if dies {
		node.After = func(place string) {
			if place == "rolled over" {
				panic(died{place})
			}
		}
	}
	if err := node.Rollover(context.WithoutCancel(t.Context()), account, typ); err != nil {
		t.Errorf("the rollover says: %v", err)
	}
}

// TestAnOrderGoesOnWithTheAccountsNewKey changes the key while an order is at each of
// its places, at a CA that looks at challenges for itself. Only while that CA looks is
// there no telling which key it will hold an answer against, so "answered" is not here.
func TestAnOrderGoesOnWithTheAccountsNewKey(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		t.Parallel()
		h := build(t, db, pebble.Options{})
		h.issue(h.room(nil), h.want("before.example"))
		n := 0
		for _, place := range places {
			for _, way := range changes {
				n++
				if place != "answered" {
					t.Run(place+" "+way, func(t *testing.T) { h.with(t).rolledAt(n, place, way) })
				}
			}
		}
	})
}

func (h *house) rolledAt(n int, place, way string) {
	name := fmt.Sprintf("k%d.example", n)
	c := h.want(name, name, "*."+name)
	before, was := len(h.wire.orders()), h.accountNow()
	o := h.open(h.room(nil), c)
	done, me := false, owner(n)
	at := func(p string) {
		if p != place || done {
			return
		}
		done = true
		if way == "between steps" {
			panic(died{p})
		}
		roll(h.T, h.room(nil), h.acct.ID, []certfleet.KeyType{certfleet.P384, certfleet.P256}[n%2], way == "by one that dies")
	}
	h.dns.crashBy(func() { at("presenting") })
	defer h.dns.crashBy(nil)
	r := h.room(at)
	for stop := time.Now().Add(trial.Patience); o.Live() && time.Now().Before(stop); time.Sleep(time.Millisecond) {
		rolled := done
		if err := h.dying(func() error { return h.walk(r, me, o.ID) }); err != nil {
			h.Errorf("a step says: %v", err)
		}
		if done && !rolled && way == "between steps" {
			roll(h.T, h.room(nil), h.acct.ID, certfleet.P256, false)
			if err := work.FreeDead(h.Context(), h.db); err != nil {
				h.Fatal(err)
			}
		}
		if o = h.order(o.ID); o.Attempts != 0 || o.Live() && o.Problem != "" {
			h.Fatalf("a step went wrong %d times: %s", o.Attempts, o.Problem)
		}
	}
	if !done || o.State != certfleet.OrderIssued {
		h.Fatalf("passed the place: %v; order is %s: %s", done, o.State, o.Problem)
	}
	if now := h.accountNow(); now.KeyID == was.KeyID && now.NextKeyID == 0 {
		h.Errorf("the account has key %d as before", now.KeyID)
	}
	if strings.Contains(h.events(c.ID), "failed") || h.certificate(c.ID).Failures != 0 {
		h.Errorf("it counts as a failure: %s", h.events(c.ID))
	}
	if placed := len(h.wire.orders()) - before; placed != 1 && (place != "placed" || way != "between steps") {
		h.Errorf("the CA took %d orders", placed)
	}
	h.checkCleaned(o)
}

func (h *house) accountNow() *certfleet.Account {
	h.Helper()
	a, err := h.db.Account(h.Context(), h.acct.ID)
	if err != nil {
		h.Fatal(err)
	}
	return a
}

// strict is a fleet at a CA that checks signatures, and that holds each http-01 answer
// against the key that the account has when the CA is told to look.
func strict(t *testing.T) *fleet {
	var f *fleet
	o := fakeca.Options{Validate: func(ctx context.Context, v fakeca.Validation) error {
		c, err := f.db.ChallengeByToken(ctx, v.Token)
		if err == nil && c.KeyAuth != v.KeyAuth {
			err = errors.New("the answer is by another key")
		}
		return err
	}}
	f = fleetAt(t, storetest.SQLite(t), "letsencrypt", o)
	return f
}

// TestAChangedKeyCostsAnOrderNothing does the same at a CA whose limits are kept in
// the ledger: new-order is charged once, and no validation fails.
func TestAChangedKeyCostsAnOrderNothing(t *testing.T) {
	t.Parallel()
	for _, place := range places {
		for _, way := range changes[:2] {
			if place == "presenting" {
				continue // an answer in a row is presented by its commit
			}
			t.Run(place+" "+way, func(t *testing.T) {
				t.Parallel()
				f, began := strict(t), time.Now()
				c := f.want(certfleet.LaneNew, "shop.example,www.shop.example")[0]
				done := false
				r, w := f.node("b", func(p string) {
					if p != place || done {
						return
					}
					done = true
					other, _ := f.node("other", nil)
					roll(t, other, f.acct.ID, certfleet.P384, way == "by one that dies")
				})
				if o := f.through(r, w, c); !done || o.State != certfleet.OrderIssued || o.Attempts != 0 {
					t.Fatalf("passed the place: %v; order is %+v", done, o)
				}
				if b := f.bucket(f.newOrders()); b.Held != 0 || f.spent(b, began) != 1 {
					t.Errorf("%d new orders are charged and %v held", f.spent(b, began), b.Held)
				}
				if s := f.ca.Stats(); s.Failed != 0 || s.Orders != 1 {
					t.Errorf("the CA counts %+v", s)
				}
			})
		}
	}
}

// through takes a certificate through its first order, of which no step may go wrong.
func (f *fleet) through(r *issue.Room, w *work.Work, c *certfleet.Certificate) *certfleet.Order {
	f.Helper()
	if err := r.Open(f.Context(), c.ID, time.Now()); err != nil {
		f.Error(err)
		return &certfleet.Order{}
	}
	o, err := f.first(c.ID)
	for stop := time.Now().Add(trial.Patience); err == nil && o.Live() && time.Now().Before(stop); o, err = f.first(c.ID) {
		if err := work.Orders(f.db, w.Owner, r.Step).Do(f.Context(), o.ID); err != nil {
			f.Errorf("a step says: %v", err)
		}
	}
	if err != nil {
		f.Error(err)
		return &certfleet.Order{}
	}
	return o
}

// spent is how many tokens were taken of a bucket that was full when it began: what
// came back since counts too, so that it does not matter how long that took.
func (f *fleet) spent(b store.Bucket, began time.Time) int {
	per := b.Period / time.Duration(b.N)
	return int(b.FullAt.Sub(began) / per)
}

// TestWhateverAnAccountSignsFollowsItsKey changes the key when an account was read and
// its request is about to leave.
func TestWhateverAnAccountSignsFollowsItsKey(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what, url string // the request before which the key changes
		do        func(*fleet, *issue.Room, *certfleet.Order) error
	}{
		{"revoke", "/revoke", func(f *fleet, r *issue.Room, o *certfleet.Order) error { return r.Revoke(f.Context(), o.VersionID, 4) }},
		{"contact", "/account/", func(f *fleet, r *issue.Room, _ *certfleet.Order) error {
			return r.UpdateContact(f.Context(), f.acct.ID, []string{"mailto:new@shop.example"})
		}},
		{"check", "/account/new", func(f *fleet, r *issue.Room, _ *certfleet.Order) error {
			_, err := r.CheckAccount(f.Context(), f.acct.ID)
			return err
		}},
		{"sync", "/order/", func(f *fleet, r *issue.Room, o *certfleet.Order) error { return r.Sync(f.Context(), o.ID) }},
		{"deactivate", "/account/", func(f *fleet, r *issue.Room, _ *certfleet.Order) error { return r.Deactivate(f.Context(), f.acct.ID) }},
		{"adopt", "/account/", func(f *fleet, r *issue.Room, _ *certfleet.Order) error {
			client, as, err := r.Identity(f.Context(), f.acct.ID)
			if err == nil {
				_, err = client.AccountInfo(f.Context(), as)
			}
			return err
		}},
	} {
		for _, way := range changes[:2] {
			t.Run(c.what+" "+way, func(t *testing.T) {
				t.Parallel()
				f := strict(t)
				r, w := f.node("b", nil)
				o := f.through(r, w, f.want(certfleet.LaneNew, "shop.example")[0])
				g := &junction{to: f.ca.RoundTripper(), path: c.url, turn: func() {
					other, _ := f.node("other", nil)
					roll(t, other, f.acct.ID, certfleet.P256, way == "by one that dies")
				}}
				late, _ := f.node("late", nil)
				f.over(late, g)
				was := f.account().KeyID
				if err := c.do(f, late, o); err != nil {
					t.Errorf("it says: %v", err)
				}
				if g.turn != nil || f.account().KeyID == was {
					t.Error("the key was not changed before a request")
				}
			})
		}
	}
}

// TestAKeyThatKeepsChangingFailsNoOrder has nodes work on orders while another changes
// the account's key again and again.
func TestAKeyThatKeepsChangingFailsNoOrder(t *testing.T) {
	t.Parallel()
	f, began := fleetAt(t, storetest.SQLite(t), "letsencrypt", fakeca.Options{}), time.Now()
	const orders, nodes = 16, 4
	todo := make(chan *certfleet.Certificate, orders)
	for _, c := range f.want(certfleet.LaneNew, many("m%d.example", orders)...) {
		todo <- c
	}
	close(todo)
	var working sync.WaitGroup
	for i := range nodes {
		working.Go(func() {
			r, w := f.node(fmt.Sprintf("n%d", i), func(string) { time.Sleep(3 * time.Millisecond) })
			for c := range todo {
				if o := f.through(r, w, c); o.State != certfleet.OrderIssued || o.Attempts != 0 {
					t.Errorf("order of %s is %s after %d failures: %s", c.Label, o.State, o.Attempts, o.Problem)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { working.Wait(); close(done) }()
	other, _ := f.node("other", nil)
	requests := func() (n int) {
		for _, of := range f.ca.Stats().Requests {
			n += of
		}
		return n
	}
	rolled, last := 0, 0
	for busy := true; busy; {
		select {
		case <-done:
			busy = false
		case <-time.After(10 * time.Millisecond):
			if n := requests(); n-last > 50 { // however slow the machine is: enough for each step to have its try
				roll(t, other, f.acct.ID, certfleet.P256, false)
				rolled, last = rolled+1, requests()
			}
		}
	}
	if b := f.bucket(f.newOrders()); rolled == 0 || b.Held != 0 || f.spent(b, began) != orders || f.ca.Stats().Orders != orders {
		t.Errorf("after %d changes %d new orders are charged, and the CA took %d", rolled, f.spent(b, began), f.ca.Stats().Orders)
	}
}

// TestARefusalThatNoNewKeyExplainsStays has the CA refuse a signature although the
// key is the account's.
func TestARefusalThatNoNewKeyExplainsStays(t *testing.T) {
	t.Parallel()
	h := build(t, storetest.SQLite(t), pebble.Options{})
	h.issue(h.room(nil), h.want("before.example"))
	asked := 0
	h.wire.breakBy(func(w http.ResponseWriter, r *http.Request, _ string) bool {
		if r.URL.Path != "/order-plz" {
			return false
		}
		asked++
		return refuse(w, 400, "malformed", "JWS verification error", "")
	})
	o := h.finish(h.room(nil), h.open(h.room(nil), h.want("after.example")).ID)
	if o.State != certfleet.OrderFailed || o.ProblemType != "malformed" || asked != 1 {
		t.Errorf("after %d requests the order is %s: %s", asked, o.State, o.Problem)
	}
}

// junction runs turn before the first request to a path goes on.
type junction struct {
	to   http.RoundTripper
	path string
	turn func()
}

func (g *junction) RoundTrip(r *http.Request) (*http.Response, error) {
	if turn := g.turn; turn != nil && strings.HasPrefix(r.URL.Path, g.path) {
		g.turn = nil
		turn()
	}
	return g.to.RoundTrip(r)
}
