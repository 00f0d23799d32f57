package simulate

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/plan"
	"github.com/certfleet/certfleet/internal/trial"
)

func run(t *testing.T, o Options) *Result {
	t.Helper()
	r, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", b)
	return r
}

// well wants nothing to have gone wrong that is not explained.
func well(t *testing.T, r *Result) {
	t.Helper()
	if r.Expired != 0 || r.Breaches != 0 || r.Early != 0 || r.LateBecause["unexplained"] != 0 {
		t.Errorf("%d expired, breaches of %v, %d early, late %v", r.Expired, r.BreachesOf, r.Early, r.LateBecause)
	}
}

func TestAQuietSeasonRenewsEverythingInItsWindow(t *testing.T) {
	t.Parallel()
	r := run(t, Options{Fleet: 200, Days: 60, Seed: 1, Mix: Mixes["mix"]})
	well(t, r)
	// A hundred of 90 days renew once in 60 days, a hundred of 45 days twice.
	if r.Late != 0 || r.Orders < 280 || r.Orders > 320 {
		t.Errorf("%d orders, %d late", r.Orders, r.Late)
	}
}

func TestTheSameSeedIsTheSameFleet(t *testing.T) {
	t.Parallel()
	o := Options{Fleet: 50, Days: 20, Seed: 7, Mix: Mixes["all"], Outages: []Outage{{10, 3 * day}}, Revokes: []Revocation{{15, 0.3}}, BadNonces: 0.05}
	a, b := run(t, o), run(t, o)
	if !reflect.DeepEqual(a, b) {
		t.Error("the results differ")
	}
	if o.Seed = 8; reflect.DeepEqual(a, run(t, o)) {
		t.Error("another seed is the same fleet")
	}
}

// TestYearsWithAllThatCanHappen has lives of 90, 64, 45 and 6 days as the calendar
// has them, outages of three days, a mass revocation and refused nonces.
func TestYearsWithAllThatCanHappen(t *testing.T) {
	trial.InFull(t)
	t.Parallel()
	o := Options{Fleet: 60, Days: 730, Seed: 3, Mix: Mixes["all"], BadNonces: 0.05,
		Outages: []Outage{{200, 3 * day}, {401, 3 * day}}, Revokes: []Revocation{{400, 0.3}}}
	if trial.Long() {
		o.Fleet = 2000
	}
	r := run(t, o)
	well(t, r)
	if r.LateBecause["revoked"] == 0 || r.LateBecause["outage"] == 0 {
		t.Errorf("late because of %v; want some of the revocation and the outage", r.LateBecause)
	}
}

func TestAFleetWithoutCertificatesIsBoundByNewOrders(t *testing.T) {
	t.Parallel()
	few := plan.Limit{Name: plan.NewOrders, Count: 30, Period: 3 * time.Hour}
	o := Options{Fleet: 400, New: 400, Days: 1, Seed: 1, Mix: Mixes["classic"], Overrides: []plan.Limit{few}}
	r := run(t, o)
	well(t, r)
	// 30 at once, then one every six minutes.
	if r.Orders < 265 || r.Orders > 270 || r.WithoutFirst != o.Fleet-r.Orders {
		t.Errorf("%d orders on the first day, %d never got one", r.Orders, r.WithoutFirst)
	}
	o.Overrides = nil // 300 in three hours
	if r = run(t, o); r.WithoutFirst != 0 {
		t.Errorf("%d never got one, although ten times as many are allowed", r.WithoutFirst)
	}
	well(t, r)
}

func TestThePictureShowsEveryDay(t *testing.T) {
	t.Parallel()
	r := run(t, Options{Fleet: 50, Days: 40, Seed: 1, Mix: Mixes["tlsserver"]})
	var b bytes.Buffer
	if err := r.Picture(&b); err != nil {
		t.Fatal(err)
	}
	if s := b.String(); !strings.HasPrefix(s, "<svg ") || strings.Count(s, "<polyline") != 3 || !strings.Contains(s, "2027-01-06") {
		t.Errorf("the picture is %.300s", s)
	}
}

// TestMoreAddressesAskFaster has the requests of an order leave from several.
func TestMoreAddressesAskFaster(t *testing.T) {
	one, four := gapFor("letsencrypt", 1), gapFor("letsencrypt", 4)
	if one <= 4*time.Millisecond || four < one/4-time.Millisecond || four > one/4+time.Millisecond {
		t.Errorf("orders are %s apart from one address, %s from four", one, four)
	}
	if none := gapFor("nobody knows", 1); none > time.Millisecond {
		t.Errorf("at a CA without rates orders are %s apart", none)
	}
}

func TestWhatIsAskedForIsRead(t *testing.T) {
	if x, err := ParseOutage("3d@200"); err != nil || x != (Outage{200, 3 * day}) {
		t.Errorf("outage %+v, %v", x, err)
	}
	if x, err := ParseRevocation("30%@400"); err != nil || x != (Revocation{400, 0.3}) {
		t.Errorf("revocation %+v, %v", x, err)
	}
	if x, err := ParseOverride("new-orders=3000/3h"); err != nil || x != (plan.Limit{Name: plan.NewOrders, Count: 3000, Period: 3 * time.Hour}) {
		t.Errorf("override %+v, %v", x, err)
	}
	if x, err := ParseMix("classic:2,shortlived:1"); err != nil || len(x) != 2 || x[1] != (Share{"shortlived", 1}) {
		t.Errorf("mix %+v, %v", x, err)
	}
	if _, err := ParseOverride("new-order=3000/3h"); !strings.Contains(certfleet.AdviceOf(err), "new-orders") {
		t.Errorf("a limit that nobody knows: %v, advice %q", err, certfleet.AdviceOf(err))
	}
	for _, s := range []string{"NaN%@1", "101%@1"} {
		if x, err := ParseRevocation(s); err == nil {
			t.Errorf("%q is read as %+v", s, x)
		}
	}
	for _, s := range []string{"", "3d", "x@1", "3d@-1", "30@400", "30%", "0%@1", "a=1", "a=x/1h", "classic:0", "nothing"} {
		_, a := ParseOutage(s)
		_, b := ParseRevocation(s)
		_, c := ParseOverride(s)
		_, d := ParseMix(s)
		if a == nil || b == nil || c == nil || d == nil {
			t.Errorf("%q is read: %v, %v, %v, %v", s, a, b, c, d)
		}
	}
}

// TestWhatWouldBeLeftOutIsRefused has mistakes that a simulation would else pass
// over, and answer another question than was asked.
func TestWhatWouldBeLeftOutIsRefused(t *testing.T) {
	good := Options{Fleet: 10, New: 10, Days: 20, IPs: 1, Limits: "letsencrypt", Outages: []Outage{{19, 3 * day}}, Revokes: []Revocation{{0, 1}}, BadNonces: 0.2}
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Options){
		"no fleet":                  func(o *Options) { o.Fleet, o.New = 0, 0 },
		"more new than there are":   func(o *Options) { o.New = 11 },
		"fewer than none new":       func(o *Options) { o.New = -1 },
		"no days":                   func(o *Options) { o.Days = 0 },
		"more days than there are":  func(o *Options) { o.Days = 1 << 40 },
		"a misspelt authority":      func(o *Options) { o.Limits = "letsencript" },
		"no address":                func(o *Options) { o.IPs = 0 },
		"more addresses than a net": func(o *Options) { o.IPs = 255 },
		"an outage after the end":   func(o *Options) { o.Outages = []Outage{{20, day}} },
		"a revocation after it":     func(o *Options) { o.Revokes = []Revocation{{20, 0.3}} },
		"nonces beyond all":         func(o *Options) { o.BadNonces = 0.3 },
		"nonces that are no number": func(o *Options) { o.BadNonces = math.NaN() },
	} {
		bad := good
		spoil(&bad)
		if err := bad.Check(); certfleet.KindOf(err) != certfleet.Invalid || certfleet.AdviceOf(err) == "" {
			t.Errorf("%s: %v, advice %q", name, err, certfleet.AdviceOf(err))
		}
	}
}
