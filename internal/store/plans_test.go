package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

// small tables never grow with the fleet; a scan of them is no harm.
var small = regexp.MustCompile(`^(agent\b|authority|account|policy|data_key|tenant|token|setting|pause|stray|exchange_count|limit_override|default_policy|account_default|backup_fill|replacement\b|factory|blocked|d|s|t\b|json_each|first|\(|CONSTANT|SUBQUERY|[0-9])`)

// partial indexes hold only what is open, held or due, so that walking one in
// order is not a walk over the fleet.
var partial = regexp.MustCompile(`USING (COVERING )?INDEX (orders_due|orders_issued|orders_live|orders_leased|orders_open|delivery_open|delivery_waiting|delivery_due|delivery_turn|delivery_look|delivery_leased|version_ari_poll|challenge_clean|event_xact|certificate_due|certificate_failing|certificate_room|certificate_urgent|certificate_lane|certificate_share|bucket_free)\b`)

// walked tables are read from their newest row down until the page is full.
var walked = regexp.MustCompile(`^SCAN authz$`)

// bounded answers may be sorted: a version has no more deliveries than there are
// targets, a certificate at one target no more than it had versions, an order no
// more authorizations than names, and few certificates carry a label that leads to
// their rows; of a long queue a bounded part is read, or one row for each target.
var bounded = regexp.MustCompile(`delivery\.version_id = \$|WHERE certificate_id = \$1 AND target_id = \$2|d\.certificate_id = c\.id AND d\.target_id = \$1|c\.label = \$2 AND delivery\.target_id = \$3|authz\.order_id = \$|ORDER BY CASE|IN \(SELECT l0\.object_id FROM label|LIMIT \$3( \+ 0)?\) AS first|RECURSIVE t\(target\)`)

// byIDs are questions about a list of ids, which is to lead to its rows. A bloom
// filter shows that it sifts what something else led to.
var byIDs = regexp.MustCompile(`[a-z_]+ IN \(SELECT value AS id FROM json_each`)

// asks are the questions that the sweep, the lists, the search and the metrics put.
func asks(t *testing.T, db *store.DB) map[string][]store.Asked {
	t.Helper()
	ctx := t.Context()
	n := name(t, "shop.example.com")
	web := certfleet.Labels{"team": "web"}
	c := store.Cursor{At: 5, ID: 5}
	out := map[string][]store.Asked{}
	for what, ask := range map[string]func(q store.Q) error{
		"due certificates":  func(q store.Q) error { _, err := q.DueCertificates(ctx, now, 500); return err },
		"former numbers":    func(q store.Q) error { _, err := q.Former(ctx, 1, "version", 5, 6); return err },
		"numbers before":    func(q store.Q) error { _, err := q.FormerOf(ctx, 1, "version", 5, 6); return err },
		"which carry":       func(q store.Q) error { return second(q.WhichCarry(ctx, []int64{5, 6}, web)) },
		"called":            func(q store.Q) error { return second(q.CertificateLabels(ctx, []int64{5, 6})) },
		"any former number": func(q store.Q) error { _, err := q.HasFormer(ctx, 1); return err },
		"version by content": func(q store.Q) error {
			if _, err := q.VersionByContent(ctx, 1, 5); certfleet.KindOf(err) != certfleet.NotFound {
				return err
			}
			return nil
		},
		"key by content": func(q store.Q) error {
			if _, err := q.KeyByContent(ctx, 1, 5); certfleet.KindOf(err) != certfleet.NotFound {
				return err
			}
			return nil
		},
		"due parked":    func(q store.Q) error { _, err := q.DueParked(ctx, now, 500); return err },
		"due in a lane": func(q store.Q) error { _, err := q.DueInLane(ctx, certfleet.LaneNew, "", now, 300); return err },
		"due by lane":   func(q store.Q) error { _, err := q.DueByLane(ctx, now, 300); return err },
		"let in":        func(q store.Q) error { _, err := q.LetIn(ctx, 1, now); return err },
		"clean up due":  func(q store.Q) error { _, err := q.CleanUpDue(ctx, 1, now); return err },
		"due by share": func(q store.Q) error {
			_, err := q.DueByShare(ctx, certfleet.LaneNew, "", "a", now, 64, 8)
			return err
		},
		"due raises":        func(q store.Q) error { _, err := q.DueRaises(ctx, now, 500); return err },
		"lane waits":        func(q store.Q) error { _, err := q.LaneWaits(ctx, now, 1000); return err },
		"failed deliveries": func(q store.Q) error { _, err := q.FailedDeliveries(ctx, 1, 100); return err },
		"oldest due": func(q store.Q) error {
			for _, kind := range []string{"raises", "parked", "orders", "cleanups", "deliveries", "windows"} {
				if _, err := q.OldestDue(ctx, kind, now); err != nil {
					return err
				}
			}
			return nil
		},
		"orders ahead": func(q store.Q) error { _, err := q.OrdersAhead(ctx, now, 300); return err },
		"open rooms":   func(q store.Q) error { _, err := q.OpenRooms(ctx, now, 50); return err },
		"rooms":        func(q store.Q) error { _, err := q.Rooms(ctx); return err },
		"limits": func(q store.Q) error {
			for _, err := range []error{second(q.BucketsOf(ctx, "new-orders", 50)), second(q.BucketsIn(ctx, []string{"a", "b"})), second(q.HeldBy(ctx, 1)), second(q.PausesOf(ctx, now, []string{"a", "b"})), second(q.Overrides(ctx, 1))} {
				if err != nil {
					return err
				}
			}
			return nil
		},
		"backups": func(q store.Q) error {
			_, _, _, behind := q.VersionsBehind(ctx, &certfleet.ReplacementSpec{}, 1, 5, now, 500)
			_, _, _, keyed := q.VersionsBehind(ctx, &certfleet.ReplacementSpec{KeyID: 1}, 1, 5, now, 500)
			for _, err := range []error{behind, keyed, second(q.DueReplacements(ctx, now, 10)), second(q.ReplacementItems(ctx, 1, certfleet.ItemAsked, 5, 100)), second(q.ReplacementCounts(ctx, 1)), second(q.StrayItems(ctx, 1, 100)), second(q.LiveWithKey(ctx, 1)), second(q.ByHandWithKey(ctx, 1)), ignore(second(q.ByHand(ctx, 1))), second(q.RestedItems(ctx, 1, certfleet.ItemReplaced, now, 20)),
				ignore(second(q.BackupOf(ctx, 1))), second(q.DueBackups(ctx, now, 500)), second(q.FlippedBackups(ctx, 1, 5, 100)), second(q.Generation(ctx, 1))} {
				if err != nil {
					return err
				}
			}
			return nil
		},
		"due orders":     func(q store.Q) error { _, err := q.DueOrders(ctx, now, 500); return err },
		"due deliveries": func(q store.Q) error { _, err := q.DueDeliveries(ctx, now, 500); return err },
		"due beside resting targets": func(q store.Q) error {
			_, err := q.DueDeliveriesBut(ctx, []int64{1, 2}, now, 500)
			return err
		},
		"a batch": func(q store.Q) error {
			return errors.Join(second(q.Generations(ctx, []int64{1, 2})), second(q.LastReceipts(ctx, []int64{1, 2}, 1)), second(q.KeysByID(ctx, []int64{1, 2})))
		},
		"group busy": func(q store.Q) error {
			_, err := q.GroupBusy(ctx, &certfleet.StoredTarget{ID: 1, Pace: certfleet.Pace{Group: "web"}}, now)
			return err
		},
		"served": func(q store.Q) error { _, err := q.CountServed(ctx); return err },
		"due siblings": func(q store.Q) error {
			_, err := q.DueSiblings(ctx, &certfleet.Delivery{ID: 1, TargetID: 1}, now, 500)
			return err
		},
		"due polls":                    func(q store.Q) error { _, err := q.DuePolls(ctx, now, 500); return err },
		"due cleanups":                 func(q store.Q) error { _, err := q.DueCleanups(ctx, now, 500); return err },
		"next due":                     func(q store.Q) error { _, err := q.NextDue(ctx); return err },
		"serving":                      func(q store.Q) error { _, err := q.ServingOf(ctx, 1, n, name(t, "*.example.com")); return err },
		"acme-dns":                     func(q store.Q) error { _, err := q.ACMEDNSAfter(ctx, 1, "s", "a", 50); return err },
		"an acme-dns account":          func(q store.Q) error { return ignore(second(q.ACMEDNSByNumber(ctx, 1, 5))) },
		"highest former number":        func(q store.Q) error { return second(q.HighestFormer(ctx, 1, "version")) },
		"unnumbered acme-dns accounts": func(q store.Q) error { return second(q.UnnumberedACMEDNS(ctx, 1, 10)) },
		"lookups":                      func(q store.Q) error { _, err := q.LookupsOf(ctx, 1, 100); return err },
		"holders":                      func(q store.Q) error { _, err := q.Holders(ctx, now); return err },
		"owners":                       func(q store.Q) error { _, err := q.Owners(ctx); return err },
		"live order":                   func(q store.Q) error { _, err := q.LiveOrder(ctx, 1, certfleet.SlotECDSA); return ignore(err) },
		"last order":                   func(q store.Q) error { _, err := q.LastOrder(ctx, 1); return ignore(err) },
		"last receipt":                 func(q store.Q) error { _, err := q.LastReceipt(ctx, 1, 1); return ignore(err) },
		"lookups by a key": func(q store.Q) error {
			for _, err := range []error{
				second(q.CertificateByLabel(ctx, 1, "x")), second(q.Domain(ctx, 1, n)), second(q.VersionByFingerprint(ctx, 1, "aa")),
				second(q.KeyBySPKI(ctx, 1, "aa")), second(q.SlotsOf(ctx, 1, n)), second(q.ChainsOf(ctx, 1)), second(q.CertificatesOf(ctx, 1, n)),
				second(q.ChallengeByToken(ctx, "t")), second(q.ChallengeByName(ctx, "n", certfleet.DNS01)), second(q.AuthorizationsOf(ctx, 1)),
				second(q.ChallengesOf(ctx, 1)), second(q.ExchangesOf(ctx, 1, 10)), second(q.Sightings(ctx, 1)), second(q.TargetsOf(ctx, 1)),
				second(q.KeyOpenings(ctx, 1, 10)), second(q.TargetByLabel(ctx, 1, "x")), second(q.SharedKey(ctx, 1, "x")), second(q.KeyRevoked(ctx, 1)),
			} {
				if ignore(err) != nil {
					return err
				}
			}
			return nil
		},
		"agents": func(q store.Q) error {
			for _, err := range []error{second(q.AgentBySPKI(ctx, "k")), second(q.AgentByJoin(ctx, "h", now)), second(q.DueAgents(ctx, now, 10)), second(q.AgentLineages(ctx, 1, "a", 10)), second(q.Assignments(ctx, 1, 10)),
				second(q.Assigned(ctx, 1, 1)), second(q.DeliveryHere(ctx, 1, 1, "x")), second(q.Missing(ctx, 1, 1, 10)), second(q.HoldsAt(ctx, 1, 1, 500)), second(q.CountAt(ctx, 1))} {
				if ignore(err) != nil {
					return err
				}
			}
			return nil
		},
		"events after": func(q store.Q) error { _, err := q.EventsAfter(ctx, 1, store.EventCursor{ID: 5}, 100); return err },
		"last event":   func(q store.Q) error { _, err := q.LastEvent(ctx); return err },
		"search": func(q store.Q) error {
			if _, err := q.Search(ctx, 1, "shop", 100); err != nil {
				return err
			}
			return second(q.Search(ctx, 1, "R11", 100))
		},
		"gauges": func(q store.Q) error { _, err := q.Gauges(ctx, now); return err },
		"shared authorizations": func(q store.Q) error {
			if err := second(q.AlsoOrdered(ctx, &certfleet.Order{ID: 1, AccountID: 1}, []certfleet.Name{n, name(t, "*.example.com")})); err != nil {
				return err
			}
			return second(q.ChallengeShared(ctx, &certfleet.StoredChallenge{OrderID: 1, Token: "t", Type: certfleet.DNS01}))
		},
		"issued": func(q store.Q) error { _, err := q.Issued(ctx); return err },
		"certificates": func(q store.Q) error {
			for _, f := range []store.CertificateFilter{{}, {After: c}, {State: "all"}, {State: "paused"}, {State: "failing"}, {State: "due"}, {State: "none"}, {DueBefore: now, After: c},
				{ExpiresBefore: now}, {Labels: web}, {Labels: web, After: c}, {Policy: "p"}, {Target: "t"}, {Issuer: "r11"}, {Issuer: "r11", After: c}} {
				if err := last(q.Certificates(ctx, f)); err != nil {
					return err
				}
			}
			return nil
		},
		"domains": func(q store.Q) error {
			for _, f := range []store.DomainFilter{{}, {After: c}, {Part: "sh"}, {Labels: web}} {
				if err := last(q.Domains(ctx, f)); err != nil {
					return err
				}
			}
			return nil
		},
		"orders": func(q store.Q) error {
			for _, f := range []store.OrderFilter{{}, {After: c}, {State: "live"}, {State: "failed"}, {CertificateID: 1}, {AccountID: 1}, {Labels: web}, {Labels: web, After: c, State: "live"}} {
				if err := last(q.Orders(ctx, f)); err != nil {
					return err
				}
			}
			return nil
		},
		"versions": func(q store.Q) error {
			for _, f := range []store.VersionFilter{{}, {After: c}, {CertificateID: 1}, {KeyID: 1}, {Past: true}, {Past: true, ValidAt: now, After: c}, {Labels: web}, {Labels: web, After: c}} {
				if err := last(q.Versions(ctx, f)); err != nil {
					return err
				}
			}
			return nil
		},
		"deliveries": func(q store.Q) error {
			for _, f := range []store.DeliveryFilter{{}, {After: c}, {State: "open"}, {State: "served"}, {CertificateID: 1}, {TargetID: 1}, {VersionID: 1}, {Labels: web}, {Labels: web, After: c, State: "open"}} {
				if err := last(q.Deliveries(ctx, f)); err != nil {
					return err
				}
			}
			return nil
		},
		"challenges": func(q store.Q) error {
			for _, f := range []store.AuthorizationFilter{{}, {After: c}, {Status: "pending"}, {OrderID: 1}, {Labels: web}, {Labels: web, After: c}} {
				if err := last(q.Challenges(ctx, f)); err != nil {
					return err
				}
				if err := last(q.Authorizations(ctx, f)); err != nil {
					return err
				}
			}
			return nil
		},
		"events": func(q store.Q) error {
			for _, f := range []store.EventFilter{{}, {After: c}, {CertificateID: 1}, {Kind: "k"}, {Since: now}, {Labels: web}, {Labels: web, After: c}} {
				if err := last(q.Events(ctx, f)); err != nil {
					return err
				}
			}
			return nil
		},
		"keys": func(q store.Q) error {
			for _, f := range []store.KeyFilter{{}, {After: c}, {Use: "account"}, {CertificateID: 1}, {Labels: web}, {Labels: web, After: c}} {
				if err := last(q.Keys(ctx, f)); err != nil {
					return err
				}
			}
			return nil
		},
		"targets": func(q store.Q) error { return last(q.Targets(ctx, 1, web, c, 10)) },
	} {
		var asked []store.Asked
		if err := ask(db.Recorded(&asked)); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		out[what] = asked
	}
	return out
}

// twice are the questions as they are put where few certificates carry a label,
// and where many do.
func twice(t *testing.T, db *store.DB) map[string][]store.Asked {
	t.Helper()
	out := asks(t, db)
	store.Walked(t, 100)
	for what, list := range asks(t, db) {
		out[what] = append(out[what], list...)
	}
	return out
}

func second[T any](_ T, err error) error { return err }

func last[T any](_ []T, _ store.Cursor, err error) error { return err }

// ignore lets a lookup find nothing: it has put its question all the same.
func ignore(err error) error {
	if certfleet.KindOf(err) == certfleet.NotFound {
		return nil
	}
	return err
}

func TestNoQuestionScansTheFleetOnSQLite(t *testing.T) {
	db := storetest.SQLite(t)
	newFleet(t, db).group(t, db)
	for what, list := range twice(t, db) {
		for _, a := range list {
			for _, line := range planOf(t, db.Raw(), "EXPLAIN QUERY PLAN "+a.SQL, a.Args, 4) {
				scans := strings.HasPrefix(line, "SCAN ") && !small.MatchString(line[len("SCAN "):]) && !partial.MatchString(line) && !(walked.MatchString(line) && strings.Contains(a.SQL, "LIMIT")) && a.SQL != "SELECT count(*) FROM certificate"
				if scans || strings.Contains(line, "AUTOMATIC") || strings.Contains(line, "BLOOM") && byIDs.MatchString(a.SQL) {
					t.Errorf("%s: %s\n\t%s", what, line, a.SQL)
				}
			}
		}
	}
}

func TestNoPageIsSortedOnSQLite(t *testing.T) {
	db := storetest.SQLite(t)
	newFleet(t, db).group(t, db)
	for what, list := range twice(t, db) {
		for _, a := range list {
			if !strings.Contains(a.SQL, "LIMIT") || bounded.MatchString(a.SQL) {
				continue
			}
			plan := planOf(t, db.Raw(), "EXPLAIN QUERY PLAN "+a.SQL, a.Args, 4)
			if p := strings.Join(plan, "\n\t"); strings.Contains(p, "TEMP B-TREE FOR ORDER BY") {
				t.Errorf("%s sorts a page:\n\t%s\n\t%s", what, p, a.SQL)
			}
		}
	}
}

func TestNoQuestionScansTheFleetOnPostgres(t *testing.T) {
	db := storetest.Postgres(t)
	newFleet(t, db).group(t, db)
	tx, err := db.Raw().BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(t.Context(), "SET LOCAL enable_seqscan = off"); err != nil {
		t.Fatal(err)
	}
	scan := regexp.MustCompile(`Seq Scan on (\w+)`)
	for what, list := range twice(t, db) {
		for _, a := range list {
			for _, line := range planOf(t, tx, "EXPLAIN "+a.SQL, a.Args, 1) {
				if m := scan.FindStringSubmatch(line); m != nil && !small.MatchString(m[1]) {
					t.Errorf("%s: %s\n\t%s", what, line, a.SQL)
				}
			}
		}
	}
}

// planOf is the last of n columns of every row.
func planOf(t *testing.T, x interface {
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
}, query string, args []any, n int) []string {
	t.Helper()
	rows, err := x.QueryContext(t.Context(), query, args...)
	if err != nil {
		t.Fatalf("%v\n\t%s", err, query)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		cols := make([]any, n)
		for i := range cols {
			cols[i] = new(any)
		}
		if err := rows.Scan(cols...); err != nil {
			t.Fatal(err)
		}
		out = append(out, fmt.Sprint(*cols[n-1].(*any)))
	}
	return out
}
