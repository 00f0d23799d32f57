package web

import (
	"context"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/store"
)

const acctURL = "https://ca.test/acct/7"

// limited has a registered account at a CA that the operator knows the limits
// of, and a certificate that waits for one.
func limited(t *testing.T) (*kit, string) {
	t.Helper()
	k := newKit(t).fleet()
	k.ok("POST", "/v1/accounts", `{"authority":"test-ca","label":"main","later":true}`)
	k.ok("POST", "/v1/certificates", `{"names":["a.example.com"]}`)
	key := "test-ca|" + acctURL + "|new-orders|"
	k.change(func(ctx context.Context, tx *store.Tx) error {
		a, err := tx.AccountByLabel(ctx, 0, "main")
		if err != nil {
			return err
		}
		a.URL, a.State = acctURL, certfleet.AccountValid
		if err := tx.SaveAccount(ctx, a); err != nil {
			return err
		}
		c, err := tx.Certificate(ctx, 1)
		if err != nil {
			return err
		}
		c.DueAt = tx.Now().Add(time.Hour)
		b := store.Bucket{Key: key, Name: "new-orders", N: 10, Period: 10 * time.Hour, FullAt: tx.Now().Add(10 * time.Hour), Held: 1, FreeAt: c.DueAt}
		if err := tx.WaitFor(ctx, c, b); err != nil {
			return err
		}
		other := store.Bucket{Key: "other-ca||certificates-per-domain|secret.example", Name: "certificates-per-domain", N: 1, Period: time.Hour, FullAt: tx.Now().Add(time.Hour)}
		return tx.SaveBuckets(ctx, []store.Bucket{other})
	})
	k.ok("PUT", "/v1/limits/override", `{"authority":"test-ca","account":"main","limit":"new-orders","count":10,"period":"10h","note":"granted"}`)
	return k, key
}

func (k *kit) limits() (l api.Limits) {
	k.t.Helper()
	k.ok("GET", "/v1/limits", "").into(k.t, &l)
	return l
}

func TestLimitsShowWhatNewAccountsHaveUsed(t *testing.T) {
	k, _ := limited(t)
	k.change(func(ctx context.Context, tx *store.Tx) error {
		return tx.SaveBuckets(ctx, []store.Bucket{{Key: "test-ca||new-accounts|", Name: "new-accounts", N: 10, Period: 3 * time.Hour, FullAt: tx.Now().Add(time.Hour)}})
	})
	for _, b := range k.limits().Buckets {
		if b.Limit == "new-accounts" && b.Authority == "test-ca" && b.Left == 6 && b.Most == 10 {
			return
		}
	}
	t.Errorf("no bucket says that 6 of 10 new accounts are left: %+v", k.limits().Buckets)
}

func TestLimitsShowWhatIsLeftAndWhoWaits(t *testing.T) {
	k, key := limited(t)
	l := k.limits()
	if len(l.Buckets) != 1 {
		t.Fatalf("buckets %+v; want the account's, and not one of a CA that is not ours", l.Buckets)
	}
	b := l.Buckets[0]
	b.FreeAt, b.FullAt = time.Time{}, time.Time{}
	want := api.LimitBucket{Key: key, Authority: "test-ca", Account: "main", Limit: "new-orders", Most: 10, Count: 10, Period: "10h", Held: 1, Waiting: 1}
	if b != want || l.Buckets[0].FreeAt.IsZero() {
		t.Errorf("bucket %+v; want %+v", l.Buckets[0], want)
	}
	if o := l.Overrides; len(o) != 1 || o[0].Account != "main" || o[0].Period != "10h" || o[0].Count != 10 {
		t.Errorf("overrides %+v", o)
	}
	metrics := k.do("", "GET", "/metrics", "").body
	for _, want := range []string{`certfleet_ca_limit_left{account_id="1",authority_id="1",limit="new-orders"} 0`, `certfleet_certificates_waiting{limit="new-orders"} 1`} {
		if !strings.Contains(metrics, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
}

// TestTheBucketsOfANameAreAllListed has a CA that an operator knows three limits
// of, one of which the name has used.
func TestTheBucketsOfANameAreAllListed(t *testing.T) {
	k, key := limited(t)
	const used = "test-ca||certificates-per-set|a.example.com"
	for _, limit := range []string{"certificates-per-set", "certificates-per-domain"} {
		k.ok("PUT", "/v1/limits/override", `{"authority":"test-ca","limit":"`+limit+`","count":5,"period":"7d"}`)
	}
	k.change(func(ctx context.Context, tx *store.Tx) error {
		return tx.SaveBuckets(ctx, []store.Bucket{{Key: used, Name: "certificates-per-set", N: 5, Period: 7 * 24 * time.Hour, FullAt: tx.Now().Add(7 * 24 * time.Hour)}})
	})
	for subject, want := range map[string]map[string]int{
		"a.example.com": {key: 0, used: 0, "test-ca||certificates-per-domain|example.com": 5},
		"b.example.com": {key: 0, "test-ca||certificates-per-set|b.example.com": 5, "test-ca||certificates-per-domain|example.com": 5},
	} {
		var l api.Limits
		k.ok("GET", "/v1/limits?name="+subject, "").into(k.t, &l)
		got := map[string]int{}
		for _, b := range l.Buckets {
			if frees := time.Until(b.FreeAt); b.Key == used && (frees < 33*time.Hour || frees > 34*time.Hour) {
				t.Errorf("an empty bucket that nobody waits for frees in %s, want a fifth of a week", frees)
			}
			got[b.Key] = b.Left
		}
		if !maps.Equal(got, want) {
			t.Errorf("%s: left of each %v, want %v", subject, got, want)
		}
	}
	if r := k.do(k.tokens[certfleet.ScopeRead], "GET", "/v1/limits?name=not_a_name!", ""); r.status != 400 && r.status != 422 && r.status != 404 {
		t.Errorf("what is no name answers %d", r.status)
	}
}

// TestAPausedNameShowsThePageThatUnpausesIt has the words of Let's Encrypt.
func TestAPausedNameShowsThePageThatUnpausesIt(t *testing.T) {
	k, _ := limited(t)
	const said = "Your account is temporarily prevented from requesting certificates for a.example.com and possibly others. Please visit: https://portal.ca.test/sfe/v1/unpause?jwt=a.b-c_d."
	k.change(func(ctx context.Context, tx *store.Tx) error {
		if err := tx.Pause(ctx, "test-ca|"+acctURL+"|consecutive-failures|a.example.com", time.Time{}, said); err != nil {
			return err
		}
		return tx.Pause(ctx, "test-ca|"+acctURL+"|new-orders|", tx.Now().Add(time.Hour), "too many: see https://ca.test/limits")
	})
	help := map[bool]string{}
	for _, p := range k.limits().Pauses {
		help[p.Until.IsZero()] = p.Help
	}
	if len(help) != 2 || help[true] != "https://portal.ca.test/sfe/v1/unpause?jwt=a.b-c_d" || help[false] != "" {
		t.Errorf("pages are %v; want the one that unpauses, and none for a limit that frees by itself", help)
	}
}

func TestAClearedLimitIsFull(t *testing.T) {
	k, key := limited(t)
	k.ok("POST", "/v1/limits/clear", `{"key":"`+key+`"}`)
	if b := k.limits().Buckets[0]; b.Left != 9 || b.Held != 1 {
		t.Errorf("after clearing: %+v; want all but what an order holds", b)
	}
	rooms, err := k.db.OpenRooms(t.Context(), time.Now().Add(time.Second), 10)
	if err != nil || len(rooms) != 1 {
		t.Errorf("open rooms %+v, %v; want the one cleared", rooms, err)
	}
	for _, foreign := range []string{"other-ca||certificates-per-domain|secret.example", "authority:99", "nothing"} {
		if r := k.do(k.tokens[certfleet.ScopeAdmin], "POST", "/v1/limits/clear", `{"key":"`+foreign+`"}`); r.status != 404 {
			t.Errorf("clearing %q answers %d", foreign, r.status)
		}
	}
	if r := k.do(k.tokens[certfleet.ScopeIssue], "POST", "/v1/limits/clear", `{"key":"`+key+`"}`); r.status != 403 {
		t.Errorf("without scope admin it answers %d", r.status)
	}
}

func TestOverridesNeedWhatTheyName(t *testing.T) {
	k, _ := limited(t)
	for body, advice := range map[string]string{
		`{"authority":"no-ca","limit":"new-orders","count":1,"period":"3h"}`:                                          "",
		`{"authority":"test-ca","account":"nobody","limit":"new-orders","count":1,"period":"3h"}`:                     "",
		`{"authority":"test-ca","limit":"new-orders","count":1,"period":"soon"}`:                                      "7d",
		`{"authority":"test-ca","limit":"new-orders","count":1,"period":"0s"}`:                                        "3h",
		`{"authority":"test-ca","domain":"http://x","limit":"new-orders","count":1,"period":"3h"}`:                    "",
		`{"authority":"test-ca","limit":"everything","count":1,"period":"3h"}`:                                        "",
		`{"authority":"test-ca","limit":"new-orders","count":0,"period":"3h"}`:                                        "",
		`{"authority":"test-ca","limit":"certificates-per-domain","domain":"x.y","count":1,"burst":-1,"period":"3h"}`: "",
	} {
		if r := k.do(k.tokens[certfleet.ScopeAdmin], "PUT", "/v1/limits/override", body); r.status < 400 || r.status >= 500 || !strings.Contains(r.problem(t).Advice, advice) {
			t.Errorf("%s: %d %s", body, r.status, r.body)
		}
	}
	k.ok("DELETE", "/v1/limits/override?authority=test-ca&account=main&limit=new-orders", "")
	if l := k.limits(); len(l.Overrides) != 0 || len(l.Buckets) != 0 {
		t.Errorf("removed, and still %+v, %+v", l.Overrides, l.Buckets)
	}
	if r := k.do(k.tokens[certfleet.ScopeAdmin], "DELETE", "/v1/limits/override?authority=test-ca&account=main&limit=new-orders", ""); r.status != 404 {
		t.Errorf("removed twice: %d", r.status)
	}
}

func TestPeriodsAreWrittenShort(t *testing.T) {
	for d, want := range map[time.Duration]string{3 * time.Hour: "3h", 168 * time.Hour: "7d", 90 * time.Minute: "1h30m", time.Second: "1s", time.Minute: "1m", 61 * time.Second: "1m1s", 36 * time.Hour: "36h"} {
		if got := periodText(d); got != want {
			t.Errorf("%d s are written %s, want %s", d/time.Second, got, want)
		}
	}
}
