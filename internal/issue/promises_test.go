package issue_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/issue"
	"github.com/certfleet/certfleet/internal/pebble"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
	"github.com/certfleet/certfleet/internal/trial"
	"github.com/certfleet/certfleet/internal/work"
)

// step makes one step of an order, whenever it is due.
func (h *house) step(r *issue.Room, id int64) *certfleet.Order {
	h.Helper()
	if err := work.StepOnce(h.Context(), h.db, work.OwnerName(), id, r.Step); err != nil {
		h.Fatal(err)
	}
	return h.order(id)
}

// placed opens an order and steps it until the CA has it.
func (h *house) placed(r *issue.Room, c *certfleet.Certificate) *certfleet.Order {
	h.Helper()
	o := h.byHand(h.open(r, c).ID, true)
	for range 5 {
		if o = h.step(r, o.ID); o.URL != "" {
			return h.byHand(o.ID, false)
		}
	}
	h.Fatalf("after five steps the CA has no order of %s: %s", c.Label, o.Problem)
	return nil
}

// byHand has an order stepped by a person, one thing at a time, or not.
func (h *house) byHand(id int64, manual bool) *certfleet.Order {
	h.Helper()
	o, err := h.db.Order(h.Context(), id)
	if err != nil {
		h.Fatal(err)
	}
	o.Manual = manual
	h.tx(func(ctx context.Context, tx *store.Tx) error { return tx.SaveOrder(ctx, o) })
	return o
}

// newOrders answers new-order in place of the CA, and counts.
func newOrders(n *int, answer func(http.ResponseWriter) bool) func(http.ResponseWriter, *http.Request, string) bool {
	return func(w http.ResponseWriter, r *http.Request, _ string) bool {
		if r.URL.Path != "/order-plz" {
			return false
		}
		*n++
		return answer(w)
	}
}

func (h *house) pauses() []store.PauseRow {
	h.Helper()
	list, err := h.db.Pauses(h.Context(), time.Now())
	if err != nil {
		h.Fatal(err)
	}
	return list
}

func TestALimitOnTheAccountHoldsNewOrdersAndLetsOpenOnesGoOn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what, key string
		answer    func(http.ResponseWriter) bool
	}{
		{"rate limit", "|new-orders|", func(w http.ResponseWriter) bool {
			return refuse(w, 429, "rateLimited", "too many new orders recently", "3600")
		}},
		{"trouble at the CA", "authority:1", func(w http.ResponseWriter) bool {
			return refuse(w, 503, "serverInternal", "the service is down for maintenance", "3600")
		}},
	} {
		t.Run(c.what, func(t *testing.T) {
			h := build(t, storetest.SQLite(t), pebble.Options{})
			r, asked := h.room(nil), 0
			running := h.placed(r, h.want("open.example"))
			h.wire.breakBy(newOrders(&asked, c.answer))
			waiting, next := h.open(r, h.want("waits.example")), h.open(r, h.want("next.example"))
			for _, o := range []*certfleet.Order{h.step(r, waiting.ID), h.step(r, next.ID)} {
				if !o.Live() || time.Until(o.DueAt) < 59*time.Minute || o.Problem == "" || o.Advice == "" {
					t.Errorf("order of %s is %s, due %s, %q, %q", o.Names[0], o.State, o.DueAt, o.Problem, o.Advice)
				}
			}
			if asked != 1 {
				t.Errorf("new-order was sent %d times although the first was told to wait", asked)
			}
			if p := h.pauses(); len(p) != 1 || !strings.HasSuffix(p[0].Key, c.key) {
				t.Errorf("pauses: %+v", p)
			}
			if o := h.finish(r, running.ID); o.State != certfleet.OrderIssued {
				t.Errorf("the open order is %s: %s", o.State, o.Problem)
			}
		})
	}
}

func TestAWaitingOrderGoesOnWhenThePauseEnds(t *testing.T) {
	t.Parallel()
	h := build(t, storetest.SQLite(t), pebble.Options{})
	r, asked := h.room(nil), 0
	h.wire.breakBy(newOrders(&asked, func(w http.ResponseWriter) bool {
		return asked == 1 && refuse(w, 503, "serverInternal", "try again", "1")
	}))
	o := h.finish(r, h.open(r, h.want("patient.example")).ID)
	if o.State != certfleet.OrderIssued || asked != 2 || o.Problem != "" {
		t.Errorf("order is %s after %d new-orders, problem %q", o.State, asked, o.Problem)
	}
}

func TestALimitOnNamesEndsThatOrderAlone(t *testing.T) {
	t.Parallel()
	h := build(t, storetest.SQLite(t), pebble.Options{})
	r, asked := h.room(nil), 0
	h.wire.breakBy(func(w http.ResponseWriter, r *http.Request, body string) bool {
		return strings.Contains(body, "often.example") &&
			refuse(w, 429, "rateLimited", "too many certificates (5) already issued for this exact set of identifiers", "7200")
	})
	c := h.want("often.example")
	o := h.finish(r, h.open(r, c).ID)
	got := h.certificate(c.ID)
	if o.State != certfleet.OrderFailed || got.Failures != 1 || time.Until(got.DueAt) < 119*time.Minute || !strings.Contains(got.Advice, "wait") {
		t.Errorf("order is %s; certificate: %d failures, due %s, %q", o.State, got.Failures, got.DueAt, got.Advice)
	}
	if p := h.pauses(); len(p) != 1 || p[0].Key != "pebble||certificates-per-set|often.example" {
		t.Errorf("what was learned is %+v, want the limit on that set alone", p)
	}
	h.wire.breakBy(newOrders(&asked, func(http.ResponseWriter) bool { return false }))
	h.issue(r, h.want("free.example"))
}

func TestARemovedCertificateEndsItsOrder(t *testing.T) {
	t.Parallel()
	h := build(t, storetest.SQLite(t), pebble.Options{RetryAfter: 5 * time.Second})
	deactivated := 0
	h.wire.breakBy(func(_ http.ResponseWriter, _ *http.Request, body string) bool {
		if strings.Contains(body, `"deactivated"`) {
			deactivated++
		}
		return false
	})
	r := h.room(nil)
	c := h.wantBy(h.policyLike("slow", func(s *certfleet.PolicySpec) { s.Challenge = certfleet.DNS01 }), "gone.example")
	o := h.placed(r, c)
	h.dns.crashBy(func() { panic(died{"presenting"}) })
	h.dying(func() error { return work.StepOnce(t.Context(), h.db, owner(1), o.ID, r.Step) })
	h.dns.crashBy(nil)
	if err := work.FreeDead(t.Context(), h.db); err != nil {
		t.Fatal(err)
	}
	now := h.certificate(c.ID)
	now.State, now.DueAt = certfleet.Removed, time.Time{}
	h.tx(func(ctx context.Context, tx *store.Tx) error { return tx.SaveCertificate(ctx, now) })
	o = h.finish(r, o.ID)
	now = h.certificate(c.ID)
	if o.State != certfleet.OrderFailed || o.ProblemType != "removed" || now.Failures != 0 || !now.DueAt.IsZero() {
		t.Errorf("order is %s (%s), certificate %+v", o.State, o.ProblemType, now)
	}
	if deactivated != 1 {
		t.Errorf("%d pending authorizations were given up, want 1", deactivated)
	}
	due, err := h.db.DueCleanups(t.Context(), time.Now(), 10)
	if err != nil || len(due) != 1 {
		t.Errorf("%d challenges are to be cleaned up, want the one that was being presented: %v", len(due), err)
	}
}

func TestWhatAnOperatorSaysWhileAnOrderRunsStands(t *testing.T) {
	t.Parallel()
	h := build(t, storetest.SQLite(t), pebble.Options{})
	c := h.want("paused.example")
	r := h.room(func(place string) {
		if place != "downloaded" {
			return
		}
		now := h.certificate(c.ID)
		now.State, now.Labels = certfleet.Paused, certfleet.Labels{"said": "meanwhile"}
		h.tx(func(ctx context.Context, tx *store.Tx) error { return tx.ReplaceCertificate(ctx, now, "operator") })
	})
	o := h.issue(r, c)
	got := h.certificate(c.ID)
	if got.State != certfleet.Paused || got.Labels["said"] != "meanwhile" || got.VersionID != o.VersionID || !got.DueAt.IsZero() {
		t.Errorf("certificate is %+v", got)
	}
	if err := r.Open(t.Context(), c.ID, time.Now().Add(1000*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if last, _ := h.db.LastOrder(t.Context(), c.ID); last.ID != o.ID {
		t.Error("a paused certificate got another order")
	}
	got.State, got.DueAt = certfleet.Active, time.Now().Add(-time.Second)
	h.tx(func(ctx context.Context, tx *store.Tx) error { return tx.SaveCertificate(ctx, got) })
	if next := h.issue(r, got); next.Replaces != o.VersionID {
		t.Errorf("after resuming, the order replaces %d, want %d", next.Replaces, o.VersionID)
	}
}

func TestAManualOrderAdvancesOnlyByRequest(t *testing.T) {
	t.Parallel()
	h := build(t, storetest.SQLite(t), pebble.Options{})
	r := h.room(nil)
	o := h.open(r, h.want("manual.example"))
	o.Manual = true
	h.tx(func(ctx context.Context, tx *store.Tx) error { return tx.SaveOrder(ctx, o) })
	if due, err := h.db.DueOrders(t.Context(), time.Now().Add(time.Hour), 10); err != nil || len(due) != 0 {
		t.Errorf("%d manual orders are due: %v", len(due), err)
	}
	if err := h.walk(r, work.OwnerName(), o.ID); err != nil || len(h.wire.orders()) != 0 || h.order(o.ID).Rev != o.Rev {
		t.Errorf("a sweep touched it: %v", err)
	}
	steps := 0
	trial.Until(t, "the order ends", func() (bool, string) {
		steps++
		o := h.step(r, o.ID)
		return !o.Live(), string(o.State)
	})
	if got := h.order(o.ID); got.State != certfleet.OrderIssued || steps < 4 {
		t.Errorf("after %d requests it is %s: %s", steps, got.State, got.Problem)
	}
}

func TestACertificateThatIsNotOursIsRefused(t *testing.T) {
	t.Parallel()
	h := build(t, storetest.SQLite(t), pebble.Options{})
	r := h.room(nil)
	other, _ := h.version(h.issue(r, h.want("other.example")).VersionID)
	sameName, _ := h.version(h.issue(r, h.want("ours.example")).VersionID)
	for word, chain := range map[string][]byte{"another key": other.ChainPEM, "for another key": sameName.ChainPEM} {
		c, err := h.db.CertificateByLabel(t.Context(), 1, "ours.example")
		if err != nil {
			t.Fatal(err)
		}
		h.wire.breakBy(func(w http.ResponseWriter, r *http.Request, _ string) bool {
			if !strings.HasPrefix(r.URL.Path, "/certZ/") {
				return false
			}
			w.Header().Set("Content-Type", "application/pem-certificate-chain")
			w.Write(chain)
			return true
		})
		o := h.finish(r, h.open(r, h.again(c.ID)).ID)
		got := h.certificate(c.ID)
		if o.State != certfleet.OrderFailed || !strings.Contains(o.Problem, word) || got.VersionID != sameName.ID || got.Advice == "" {
			t.Errorf("order is %s, %q, want a word of %q; the certificate's version is %d, want %d", o.State, o.Problem, word, got.VersionID, sameName.ID)
		}
		slots, err := h.db.SlotsOf(t.Context(), 1, c.Names[0])
		if err != nil || len(slots) != 1 || slots[0].VersionID != sameName.ID {
			t.Errorf("the name serves %+v: %v", slots, err)
		}
	}
	h.wire.breakBy(nil)
	c, _ := h.db.CertificateByLabel(t.Context(), 1, "ours.example")
	h.issue(r, h.again(c.ID))
}

func TestAnOrderThatGetsNowhereEndsWhenItExpires(t *testing.T) {
	t.Parallel()
	h := build(t, storetest.SQLite(t), pebble.Options{})
	r := h.room(nil)
	c := h.want("nowhere.example")
	o := h.placed(r, c)
	h.wire.breakBy(func(w http.ResponseWriter, r *http.Request, _ string) bool {
		if !strings.HasPrefix(r.URL.Path, "/certZ/") {
			return false
		}
		w.WriteHeader(http.StatusOK) // a proxy that swallows the body
		return true
	})
	for o = h.step(r, o.ID); o.Problem == "" && o.Live(); o = h.step(r, o.ID) {
		time.Sleep(10 * time.Millisecond)
	}
	if !o.Live() || !o.DueAt.After(time.Now()) {
		t.Fatalf("order is %s, due %s: one bad answer must be waited out", o.State, o.DueAt)
	}
	o.ExpiresAt = time.Now().Add(-time.Hour)
	h.tx(func(ctx context.Context, tx *store.Tx) error { return tx.SaveOrder(ctx, o) })
	o = h.step(r, o.ID)
	if got := h.certificate(c.ID); o.State != certfleet.OrderFailed || got.Failures != 1 || !got.DueAt.After(time.Now()) {
		t.Errorf("order is %s: %s; certificate %+v", o.State, o.Problem, got)
	}
}

func TestARefusedReplacesIsDroppedOnce(t *testing.T) {
	t.Parallel()
	h := build(t, storetest.SQLite(t), pebble.Options{})
	r, asked := h.room(nil), 0
	c := h.want("again.example")
	h.issue(r, c)
	h.wire.breakBy(func(w http.ResponseWriter, r *http.Request, body string) bool {
		if !strings.Contains(body, `"replaces"`) {
			return false
		}
		asked++
		return refuse(w, 409, "alreadyReplaced", "it was replaced before", "")
	})
	o := h.issue(r, h.again(c.ID))
	if asked != 1 || o.Replaces != 0 || !strings.Contains(o.ReplacesNote, "dropped") {
		t.Errorf("replaces was sent %d times; the order says %d, %q", asked, o.Replaces, o.ReplacesNote)
	}
	if n := strings.Count(h.events(c.ID), "order.replaces_dropped"); n != 1 {
		t.Errorf("%d events say that replaces was dropped", n)
	}
	h.wire.breakBy(nil)
	h.issue(r, h.again(c.ID))
	if all := h.wire.orders(); !strings.Contains(all[len(all)-1], `"replaces"`) {
		t.Errorf("the renewal after that does not say what it replaces: %s", all[len(all)-1])
	}
}

func TestTroubleAtTheCADoesNotDropReplaces(t *testing.T) {
	trial.InFull(t)
	t.Parallel()
	h := build(t, storetest.SQLite(t), pebble.Options{})
	r, asked := h.room(nil), 0
	c := h.want("outage.example")
	h.issue(r, c)
	h.wire.breakBy(newOrders(&asked, func(w http.ResponseWriter) bool {
		return asked == 1 && refuse(w, 503, "serverInternal", "the service is down for maintenance", "1")
	}))
	o := h.issue(r, h.again(c.ID))
	if asked != 2 || o.Replaces == 0 || o.ReplacesNote != "" {
		t.Errorf("after %d new-orders replaces is %d, %q", asked, o.Replaces, o.ReplacesNote)
	}
	if all := h.wire.orders(); !strings.Contains(all[len(all)-1], `"replaces"`) {
		t.Errorf("the renewal after the outage does not say what it replaces: %s", all[len(all)-1])
	}
}

// TestAStepGoesOnWithWhatTheCASaid has the first step place the order and present
// its challenge without asking the CA how it stands; a person's step only places it.
func TestAStepGoesOnWithWhatTheCASaid(t *testing.T) {
	t.Parallel()
	for _, manual := range []bool{false, true} {
		h := build(t, storetest.SQLite(t), pebble.Options{})
		asked := 0
		h.wire.breakBy(func(_ http.ResponseWriter, r *http.Request, _ string) bool {
			if strings.HasPrefix(r.URL.Path, "/my-order/") {
				asked++
			}
			return false
		})
		r := h.room(nil)
		o := h.byHand(h.open(r, h.want("onward.example")).ID, manual)
		first := h.step(r, o.ID)
		for n := 0; n < 5 && first.URL == ""; n++ { // the account comes first
			first = h.step(r, o.ID)
		}
		if known := first.URL != "" && asked == 0; !known {
			t.Fatalf("after the first step the order is at %q, asked %d times", first.URL, asked)
		}
		list, err := h.db.ChallengesOf(t.Context(), o.ID)
		if err != nil || (len(list) == 0) != manual {
			t.Errorf("manual %v: the first step presented %d challenges, %v", manual, len(list), err)
		}
	}
}
