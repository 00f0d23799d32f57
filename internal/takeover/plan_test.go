package takeover

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/client"
)

// carried makes a plan whose items note when they are carried out.
func carried(done *[]string, items ...*Item) *Plan {
	var mu sync.Mutex
	for _, i := range items {
		if i.act == nil {
			i.act = func(context.Context) error { return nil }
		}
		act := i.act
		i.State = Add
		i.act = func(ctx context.Context) error {
			mu.Lock()
			*done = append(*done, i.Label)
			mu.Unlock()
			return act(ctx)
		}
	}
	p := &Plan{Items: items}
	p.order()
	return p
}

func TestItemsAreCarriedOutNounByNoun(t *testing.T) {
	var done []string
	p := carried(&done, &Item{Noun: Version, Label: "for one", wave: 1}, &Item{Noun: Version, Label: "for many"}, &Item{Noun: Certificate, Label: "certificate"}, &Item{Noun: Authority, Label: "authority"}, &Item{Noun: Backup, Label: "backup"})
	if err := p.Carry(t.Context(), func(*Item) {}); err != nil {
		t.Fatal(err)
	}
	if want := []string{"authority", "certificate", "for many", "for one", "backup"}; !slices.Equal(done, want) {
		t.Errorf("carried out %q, want %q", done, want)
	}
	if got := p.Tallies(); len(got) != 4 || got[2] != (Tally{Noun: Version, Added: 2}) {
		t.Errorf("tallies: %+v", got)
	}
}

func TestAFailureStopsNoOtherAndALostManagerStopsAll(t *testing.T) {
	refuse := func(context.Context) error {
		return &certfleet.Error{Kind: certfleet.Invalid, Msg: "refused", Advice: "mend it"}
	}
	var done []string
	p := carried(&done, &Item{Noun: Factory, Label: "a", act: refuse}, &Item{Noun: Factory, Label: "b"}, &Item{Noun: Certificate, Label: "c"})
	if err := p.Carry(t.Context(), func(*Item) {}); err != nil || p.Count(Added) != 2 || p.Items[0].State != Failed || p.Items[0].Advice != "mend it" {
		t.Errorf("%v, %+v", err, p.Items[0])
	}
	away := func(context.Context) error { return &certfleet.Error{Kind: certfleet.Unreachable, Msg: "no answer"} }
	done = nil
	p = carried(&done, &Item{Noun: Factory, Label: "a", act: away}, &Item{Noun: Certificate, Label: "c"})
	if err := p.Carry(t.Context(), func(*Item) {}); err == nil || p.Count(Add) != 2 || slices.Contains(done, "c") {
		t.Errorf("%v; carried out %q; the rest must stay to be added", err, done)
	}
}

func TestAnEndOfTheRunLeavesTheRestToBeAdded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var done []string
	p := carried(&done, &Item{Noun: Factory, Label: "a", act: func(ctx context.Context) error { cancel(); return ctx.Err() }}, &Item{Noun: Certificate, Label: "c"})
	if err := p.Carry(ctx, func(*Item) {}); !errors.Is(err, context.Canceled) || p.Count(Add) != 2 {
		t.Errorf("%v, %d to be added", err, p.Count(Add))
	}
}

func TestForeignWordsBecomeLabelsThatCanBeSaid(t *testing.T) {
	for in, want := range map[string]string{
		"shop": "shop", "a/b?c#d%e": "a-b-c-d-e", "12": "", ".": "", "..": "", "  x\x00y\n ": "xy", "Büro 7": "Büro 7", strings.Repeat("ü", 200): strings.Repeat("ü", 120), "": "", "\xff": "",
	} {
		if got := labelOf(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	if got := oneLine("a\r\nb\x00\u2028c"); got != "a b c" {
		t.Errorf("a note of several lines: %q", got)
	}
}

func TestTwoWaysToGetCertificatesHaveTwoLabels(t *testing.T) {
	d := &drawer{here: &here{}, plan: &Plan{}}
	p := newPolicies(d)
	one := client.PolicySpec{Authorities: []string{"ca"}, Profile: "a-b", KeyType: "p256"}
	two := client.PolicySpec{Authorities: []string{"ca-a"}, Profile: "b", KeyType: "p256"}
	a, b := p.keep(one), p.keep(two)
	if a == b || p.keep(one) != a || p.keep(two) != b || d.plan.Count(Add) != 2 {
		t.Errorf("%q and %q, %d to be added", a, b, d.plan.Count(Add))
	}
	d = &drawer{here: &here{policies: []client.Policy{{Label: "mine", PolicySpec: one}, {Label: a, Labels: map[string]string{policyLabel: markOf(text(two))}, PolicySpec: client.PolicySpec{Authorities: []string{"changed"}}}}}, plan: &Plan{}}
	p = newPolicies(d)
	if got := p.keep(one); got != "mine" {
		t.Errorf("one that says the same is here: %q", got)
	}
	if got := p.keep(two); got != a || d.plan.Count(Add) != 0 || d.plan.Items[1].Note == "" {
		t.Errorf("one that was changed here: %q, %+v", got, d.plan.Items[1])
	}
}
