package issue_test

import (
	"database/sql"
	"net/http"
	"strings"
	"testing"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/pebble"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
	"github.com/certfleet/certfleet/internal/work"
)

// TestAnEndThatWasNotCommittedIsNoEnd has the store refuse the commit that would end
// an order, for its last event: what follows from the end was not written either.
func TestAnEndThatWasNotCommittedIsNoEnd(t *testing.T) {
	t.Parallel()
	file := storetest.SQLiteFile(t)
	db, err := store.Open(t.Context(), file, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	raw, err := sql.Open("sqlite", file+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { raw.Close() })
	do := func(q string) {
		t.Helper()
		if _, err := raw.ExecContext(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	h := build(t, db, pebble.Options{})
	for _, event := range []string{"version.issued", "order.failed"} {
		h.wire.breakBy(nil)
		refused := false
		r := h.room(nil)
		o := h.placed(r, h.want(strings.ReplaceAll(event, ".", "-")+".example"))
		if event == "order.failed" {
			h.wire.breakBy(func(w http.ResponseWriter, r *http.Request, _ string) bool {
				return strings.HasPrefix(r.URL.Path, "/my-order/") && refuse(w, 404, "malformed", "no such order", "")
			})
		}
		do("CREATE TRIGGER refuse BEFORE INSERT ON event WHEN NEW.kind = '" + event + "' BEGIN SELECT RAISE(ABORT, 'not now'); END")
		for range 50 {
			if err := work.StepOnce(t.Context(), h.db, work.OwnerName(), o.ID, r.Step); err != nil {
				t.Fatalf("%s: the step said %v", event, err)
			}
			if o = h.order(o.ID); !o.Live() || o.Attempts > 0 {
				refused = true
				break
			}
		}
		if !refused || !o.Live() || o.VersionID != 0 || !o.FinishedAt.IsZero() {
			t.Errorf("%s: refused %v; the order is %s with version %d, ended at %s", event, refused, o.State, o.VersionID, o.FinishedAt)
		}
		do("DROP TRIGGER refuse")
		for n := 0; o.Live() && n < 50; n++ {
			o = h.step(r, o.ID)
		}
		c, err := h.db.Certificate(t.Context(), o.CertificateID)
		if err != nil {
			t.Fatal(err)
		}
		switch event {
		case "version.issued":
			if o.State != certfleet.OrderIssued || c.VersionID != o.VersionID || c.VersionID == 0 {
				t.Errorf("%s: the order is %s with version %d, the certificate has %d", event, o.State, o.VersionID, c.VersionID)
			}
		default:
			if o.State != certfleet.OrderFailed || c.Failures != 1 || c.DueAt.IsZero() {
				t.Errorf("%s: the order is %s, the certificate failed %d times and is due at %s", event, o.State, c.Failures, c.DueAt)
			}
		}
	}
}
