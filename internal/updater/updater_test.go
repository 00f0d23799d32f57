package updater_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/updater"
)

// service is an updater that notes its calls and fails as often as it is told.
type service struct {
	name  string
	fails int
	kind  certfleet.Kind
	hangs bool
	calls *[]string
}

func (s *service) Update(ctx context.Context, changed []certfleet.Bundle) error {
	call := s.name
	for _, b := range changed {
		call += " " + b.Certificate
	}
	*s.calls = append(*s.calls, call)
	if s.hangs {
		<-ctx.Done()
		return ctx.Err()
	}
	if s.fails > 0 {
		s.fails--
		return &certfleet.Error{Kind: s.kind, Msg: s.name + " is down", Advice: "start it"}
	}
	return nil
}

var changed = []certfleet.Bundle{{Certificate: "shop"}, {Certificate: "blog.example"}}

func TestRunKeepsTheOrderAndOnlyWhatDepends(t *testing.T) {
	var calls []string
	list := []updater.Item{
		{Name: "all", Updater: &service{name: "all", calls: &calls}},
		{Name: "one", Updater: &service{name: "one", calls: &calls}, For: []string{"shop"}},
		{Name: "glob", Updater: &service{name: "glob", calls: &calls}, For: []string{"*.example"}},
		{Name: "none", Updater: &service{name: "none", calls: &calls}, For: []string{"other"}},
		{Name: "always", Updater: &service{name: "always", calls: &calls}, For: []string{"other"}, Always: true},
	}
	results := updater.Run(t.Context(), list, changed, updater.Options{})
	want := []string{"all shop blog.example", "one shop", "glob blog.example", "always shop blog.example"}
	if !slices.Equal(calls, want) {
		t.Errorf("ran %q, want %q", calls, want)
	}
	for i, r := range results {
		if r.Name != list[i].Name || r.Skipped != (r.Name == "none") || r.OK == r.Skipped {
			t.Errorf("result %d is %+v", i, r)
		}
	}
	if calls = nil; len(updater.Run(t.Context(), list, nil, updater.Options{})) != len(list) || calls != nil {
		t.Errorf("nothing changed, and %q ran", calls)
	}
}

func TestRunRetriesWithGrowingPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls []string
		r := updater.Run(t.Context(), []updater.Item{{Name: "x", Updater: &service{name: "x", fails: 2, calls: &calls}}}, changed, updater.Options{})[0]
		if !r.OK || r.Attempts != 3 || r.Took != 3*time.Second {
			t.Errorf("got %+v, want the third attempt to succeed after 1s and 2s", r)
		}
		r = updater.Run(t.Context(), []updater.Item{{Name: "x", Retries: -1, Updater: &service{name: "x", fails: 1, calls: &calls}}}, changed, updater.Options{})[0]
		if r.OK || r.Attempts != 1 || certfleet.AdviceOf(r.Err) != "start it" {
			t.Errorf("got %+v, want one attempt and its advice", r)
		}
		r = updater.Run(t.Context(), []updater.Item{{Name: "x", Updater: &service{name: "x", fails: 9, kind: certfleet.Invalid, calls: &calls}}}, changed, updater.Options{})[0]
		if r.Attempts != 1 {
			t.Errorf("what is configured wrong was tried %d times", r.Attempts)
		}
	})
}

func TestRunEndsWhatHangsAndGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls []string
		list := []updater.Item{
			{Name: "hangs", Timeout: 5 * time.Second, Retries: -1, Updater: &service{name: "hangs", hangs: true, calls: &calls}},
			{Name: "next", Updater: &service{name: "next", calls: &calls}},
		}
		results := updater.Run(t.Context(), list, changed, updater.Options{})
		if !errors.Is(results[0].Err, context.DeadlineExceeded) || results[0].Took != 5*time.Second || !results[1].OK {
			t.Errorf("got %+v", results)
		}
		calls = nil
		results = updater.Run(t.Context(), list, changed, updater.Options{FailFast: true})
		if results[0].OK || !results[1].Skipped || len(calls) != 1 {
			t.Errorf("fail_fast went on: %+v", results)
		}
	})
}

func TestEnvironSpeaksAsCertbotForOne(t *testing.T) {
	names, err := certfleet.ParseNames([]string{"shop.example", "www.shop.example"})
	if err != nil {
		t.Fatal(err)
	}
	one := certfleet.Bundle{Certificate: "shop", Names: names, Path: "/live/shop"}
	env := updater.Environ([]certfleet.Bundle{one})
	if env["RENEWED_LINEAGE"] != "/live/shop" || env["RENEWED_DOMAINS"] != "shop.example www.shop.example" {
		t.Errorf("got %q", env)
	}
	env = updater.Environ([]certfleet.Bundle{one, {Certificate: "blog", Names: names[:1], Path: "/live/blog"}})
	if _, ok := env["RENEWED_LINEAGE"]; ok || env["CERTFLEET_LINEAGE"] != "/live/shop\n/live/blog" || env["CERTFLEET_DOMAINS"] != "shop.example www.shop.example" {
		t.Errorf("got %q", env)
	}
}

func TestTailIsBoundedText(t *testing.T) {
	got := updater.Tail([]byte(strings.Repeat("x", 10000) + "\xff end\n"))
	if len(got) > updater.MaxSaid || !strings.HasSuffix(got, "? end") {
		t.Errorf("got %d bytes, ending in %q", len(got), got[max(0, len(got)-8):])
	}
}
