package plan_test

import (
	"testing"
	"time"

	"github.com/certfleet/certfleet/internal/plan"
)

func TestHowLongManyRenewalsTake(t *testing.T) {
	own := []plan.Override{{Authority: "own-ca", Limit: plan.Limit{Name: plan.NewOrders, Count: 100, Period: time.Hour}}}
	for _, c := range []struct {
		authority string
		n         int
		want      time.Duration
		limit     plan.LimitName
	}{
		{"own-ca", 100, 0, ""},
		{"own-ca", 1100, 10 * time.Hour, plan.NewOrders},
		{"nobody-knows", 1e6, 0, ""},
		{"letsencrypt", 100, 0, ""},
		{"letsencrypt", 300_200, 1200 * time.Second, "pace-newOrder"}, // renewals of the same names are not counted; 300 a second, in whole milliseconds
	} {
		got := plan.NewBook(c.authority, own).Renewing(c.n, "us")
		if got.Takes != c.want || got.Limit != c.limit {
			t.Errorf("%d at %s: %+v; want %s by %s", c.n, c.authority, got, c.want, c.limit)
		}
	}
}
