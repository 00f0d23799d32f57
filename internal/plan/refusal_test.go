package plan_test

import (
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/plan"
)

// TestWhatARefusalMeans has what CAs answer new-order with.
func TestWhatARefusalMeans(t *testing.T) {
	for what, c := range map[string]struct {
		a                              plan.Answer
		passes, counts, ofNames, drops bool
	}{
		"a limit on the account":    {plan.Answer{Type: "rateLimited", Status: 429, Detail: "too many new orders recently"}, true, false, false, false},
		"a limit on a set":          {plan.Answer{Type: "rateLimited", Status: 429, Detail: "too many certificates (5) already issued for this exact set of identifiers"}, false, false, true, false},
		"a paused name":             {plan.Answer{Type: "rateLimited", Status: 429, Detail: "Your account is temporarily prevented from requesting certificates for shop.example and possibly others. Please visit: https://ca.example/unpause"}, false, false, true, false},
		"a proxy's 429":             {plan.Answer{Status: 429}, true, false, false, false},
		"maintenance":               {plan.Answer{Type: "serverInternal", Status: 503}, true, true, false, false},
		"a fault":                   {plan.Answer{Type: "serverInternal", Status: 500}, true, true, false, true},
		"replaced already":          {plan.Answer{Type: "alreadyReplaced", Status: 409}, false, true, false, true},
		"what it replaces is lost":  {plan.Answer{Status: 404}, false, true, false, true},
		"a nonce":                   {plan.Answer{Type: "badNonce", Status: 400}, true, true, false, false},
		"a name that is not had":    {plan.Answer{Type: "rejectedIdentifier", Status: 400}, false, true, false, false},
		"terms that changed":        {plan.Answer{Type: "userActionRequired", Status: 403}, false, true, false, false},
		"an order that is not done": {plan.Answer{Type: "orderNotReady", Status: 403}, true, true, false, false},
	} {
		if c.a.Passes() != c.passes || c.a.Counts() != c.counts || c.a.OfNames() != c.ofNames || c.a.RefusesReplaces() != c.drops {
			t.Errorf("%s: passes %v, is counted %v, is of names %v, is for the sake of replaces %v", what, c.a.Passes(), c.a.Counts(), c.a.OfNames(), c.a.RefusesReplaces())
		}
	}
}

func TestAuthoritiesHaveTheirTurn(t *testing.T) {
	now := time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)
	made, late := now.Add(-80*24*time.Hour), now.Add(10*24*time.Hour)
	for what, c := range map[string]struct {
		authorities, failures, last int
		forbidden                   int
		want                        int
	}{
		"failed for long":                  {2, 3, 0, -1, 1},
		"failed, and no order says where":  {2, 3, -1, -1, 1},
		"CAA forbids it":                   {2, 3, 0, 1, 0},
		"there is no other":                {1, 3, 0, -1, 0},
		"it has not been tried since":      {2, 0, -1, -1, 0},
		"the second failed too":            {2, 4, 1, -1, 0},
		"the second of three failed":       {3, 4, 1, -1, 2},
		"the last of three failed":         {3, 4, 2, -1, 0},
		"CAA forbids the second of three":  {3, 4, 0, 1, 2},
		"the last order was at none of it": {3, 4, -1, -1, 1},
	} {
		got := plan.Chooses(c.authorities, now, made, late, c.failures, func() int { return c.last }, func(i int) bool { return i != c.forbidden })
		if got != c.want {
			t.Errorf("%s: authority %d, want %d", what, got, c.want)
		}
	}
	if got := plan.Chooses(2, now, now.Add(-24*time.Hour), now.Add(89*24*time.Hour), 3, func() int { return 0 }, func(int) bool { return true }); got != 0 {
		t.Errorf("in good time: authority %d", got)
	}
}

func TestWhatAnOrderReplaces(t *testing.T) {
	a, err := certfleet.ParseNames([]string{"a.example", "b.example"})
	if err != nil {
		t.Fatal(err)
	}
	version := certfleet.Version{ID: 7, ARIID: "x.y", AuthorityID: 1, Names: a[:1]}
	order := certfleet.Order{AuthorityID: 1, AccountID: 2, Names: a}
	if !plan.Replaces(&version, &order, 2) {
		t.Error("a renewal with one name more replaces nothing")
	}
	for what, spoil := range map[string]func(*certfleet.Version, *certfleet.Order){
		"no ARI":            func(v *certfleet.Version, _ *certfleet.Order) { v.ARIID = "" },
		"another authority": func(v *certfleet.Version, _ *certfleet.Order) { v.AuthorityID = 3 },
		"replaced before":   func(v *certfleet.Version, _ *certfleet.Order) { v.ReplacedBy = 9 },
		"another account":   func(_ *certfleet.Version, o *certfleet.Order) { o.AccountID = 5 },
		"no name in common": func(_ *certfleet.Version, o *certfleet.Order) { o.Names = a[1:] },
	} {
		v, o := version, order
		if spoil(&v, &o); plan.Replaces(&v, &o, 2) {
			t.Errorf("%s: it is said to replace", what)
		}
	}
}

func TestAnEmergencyIsForTheSameSet(t *testing.T) {
	all, err := certfleet.ParseNames([]string{"a.example", "b.example", "c.example"})
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		lane          certfleet.Lane
		wanted, inUse []certfleet.Name
		want          int // names
	}{
		"a name was added":           {certfleet.LaneEmergency, all, all[:2], 2},
		"no emergency":               {certfleet.LaneRoutine, all, all[:2], 3},
		"a name was taken away":      {certfleet.LaneEmergency, all[:1], all[:2], 1},
		"one was taken for another":  {certfleet.LaneEmergency, all[1:], all[:2], 2},
		"there is no version in use": {certfleet.LaneEmergency, all, nil, 3},
	} {
		got := plan.Names(c.lane, c.wanted, c.inUse)
		if len(got) != c.want || what == "one was taken for another" && got[0] != c.wanted[0] {
			t.Errorf("%s: it is for %v", what, got)
		}
	}
}
