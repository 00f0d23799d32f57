package plan_test

import (
	"testing"
	"time"

	"github.com/certfleet/certfleet/internal/plan"
)

func TestARefundUndoesASpend(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	l := plan.Limit{Count: 10, Period: 3 * time.Hour}
	one, _, _ := plan.Spend(plan.Bucket{}, l, now, 1)
	two, _, _ := plan.Spend(one, l, now, 1)
	if back := plan.Refund(two, l, 1); back != one {
		t.Errorf("full at %s after a refund, want %s", back.TAT, one.TAT)
	}
}
