package plan

import (
	"math"
	"testing"
	"time"
)

// TestAForecastOfVeryManyIsLongAndNotNegative asks for more than a time can say.
func TestAForecastOfVeryManyIsLongAndNotNegative(t *testing.T) {
	one := Limit{Name: NewOrders, Count: 1, Period: week}
	b := NewBook("elsewhere", []Override{{Limit: one}})
	before := time.Duration(0)
	for _, n := range []int{1, 1000, 5000, 20_000, 1_000_000_000, math.MaxInt} {
		got := b.Renewing(n, "").Takes
		if got < before || n > 15_000 && got != never {
			t.Errorf("%d renewals take %s, fewer take %s", n, got, before)
		}
		before = got
	}
	if got := one.interval(math.MinInt); got != -never {
		t.Errorf("as many tokens too few take %s", got)
	}
	if got := one.Share(1_000_000).Period; got <= 0 {
		t.Errorf("the share of one of a million nodes comes back every %s", got)
	}
}
