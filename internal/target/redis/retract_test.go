package redis

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/target/targettest"
	goredis "github.com/redis/go-redis/v9"
)

// begun is a write that has claimed its record and nothing else.
func (p place) begun(b certfleet.Bundle) []*job {
	p.Helper()
	c, err := p.check(b, time.Now())
	if err != nil {
		p.Fatal(err)
	}
	jobs := []*job{{content: c, receipt: &certfleet.Receipt{}}}
	if p.claim(p.Context(), p.db, jobs); jobs[0].err != nil {
		p.Fatal(jobs[0].err)
	}
	return jobs
}

// eachLayout runs with an older and a newer version of one certificate, and with
// what lies in Redis when the newer one came alone.
func eachLayout(t *testing.T, f func(p place, older, newer certfleet.Bundle, alone []string)) {
	t.Parallel()
	for layout := 1; layout <= 3; layout++ {
		t.Run(fmt.Sprint("layout ", layout), func(t *testing.T) {
			older := targettest.Bundle(t, "shop", 1, "shop.example.com", "old.example.com")
			newer := targettest.Bundle(t, "shop", 2, "shop.example.com", "new.example.com")
			p := newPlace(t, Config{Layout: layout})
			p.must(newer)
			alone := p.everything()
			p.db.FlushDB(t.Context())
			f(p, older, newer, alone)
		})
	}
}

// everything is all keys but the counter of messages.
func (p place) everything() []string {
	keys := p.db.Keys(p.Context(), "*").Val()
	keys = slices.DeleteFunc(keys, func(k string) bool { return k == "certfleet:changes" })
	slices.Sort(keys)
	return keys
}

func (p place) expect(want []string) {
	p.Helper()
	if got := p.everything(); !slices.Equal(got, want) {
		p.Errorf("Redis holds\n%q, want\n%q", got, want)
	}
}

func TestAWriteThatIsOvertakenTakesItselfBack(t *testing.T) {
	eachLayout(t, func(p place, older, newer certfleet.Bundle, alone []string) {
		jobs := p.begun(older)
		p.must(newer)
		p.finish(p.Context(), p.db, jobs)
		if certfleet.KindOf(jobs[0].err) != certfleet.Conflict {
			p.Errorf("the older write ended with %v", jobs[0].err)
		}
		p.expect(alone)
		if got, err := p.Holds(p.Context(), "shop", certfleet.Receipt{}); err != nil || got != newer.Fingerprint {
			p.Errorf("it holds %.12s, %v; want the newer version", got, err)
		}
	})
}

func TestAWriteDuringARemovalLeavesNothing(t *testing.T) {
	eachLayout(t, func(p place, older, _ certfleet.Bundle, _ []string) {
		jobs := p.begun(older)
		if err := p.Remove(p.Context(), "shop", certfleet.Receipt{}); err != nil {
			p.Fatal(err)
		}
		p.finish(p.Context(), p.db, jobs)
		p.expect(nil)
	})
}

func TestAKeyThatBothVersionsHaveStays(t *testing.T) {
	eachLayout(t, func(p place, older, newer certfleet.Bundle, _ []string) {
		again := older
		again.Version = 3
		jobs := p.begun(older)
		p.must(again)
		alone := p.everything()
		p.finish(p.Context(), p.db, jobs)
		p.expect(alone)
	})
}

// abandoned is a write that is overtaken, and dies before it sees that.
func (p place) abandoned(older, newer certfleet.Bundle) {
	p.Helper()
	jobs := p.begun(older)
	p.must(newer)
	p.Target.share(p.Context(), p.db, jobs)
	p.Target.name(p.Context(), p.db, jobs)
}

func TestVerifyFindsLeftoversAndPrimeTakesThemAway(t *testing.T) {
	eachLayout(t, func(p place, older, newer certfleet.Bundle, alone []string) {
		p.abandoned(older, newer)
		verify := func() (list []Difference) {
			p.Helper()
			_, err := p.Verify(p.Context(), func(yield func(string, string) bool) { yield("shop", newer.Fingerprint) }, func(d Difference) { list = append(list, d) })
			if err != nil {
				p.Fatal(err)
			}
			return list
		}
		found := verify()
		if len(found) < 1 {
			p.Fatal("nothing is found left over")
		}
		for _, d := range found {
			if d.Certificate != "shop" || certfleet.AdviceOf(d.Err) == "" {
				p.Errorf("found %+v, want one of shop, with advice", d)
			}
		}
		if _, err := p.Prime(p.Context(), func(string) iter.Seq2[certfleet.Bundle, error] {
			return func(yield func(certfleet.Bundle, error) bool) { yield(newer, nil) }
		}, nil); err != nil {
			p.Fatal(err)
		}
		p.expect(alone)
		if found := verify(); len(found) != 0 {
			p.Errorf("after a prime %v is left", found)
		}
	})
}

func TestADeliveryUnderWayIsNoLeftover(t *testing.T) {
	eachLayout(t, func(p place, older, newer certfleet.Bundle, _ []string) {
		p.must(older)
		jobs := p.begun(newer)
		p.Target.share(p.Context(), p.db, jobs)
		p.Target.name(p.Context(), p.db, jobs)
		err := p.leftovers(p.Context(), p.db, func(list []leftover) error {
			p.Errorf("left: %+v", list)
			return context.Cause(p.Context())
		})
		if err != nil {
			p.Error(err)
		}
	})
}

// largest is the longest pipeline that was sent, and the longest list of members that
// came back.
type largest struct{ commands, members int }

func (*largest) DialHook(next goredis.DialHook) goredis.DialHook { return next }

func (l *largest) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook {
	return func(ctx context.Context, cmd goredis.Cmder) error {
		err := next(ctx, cmd)
		l.see(cmd)
		return err
	}
}

func (l *largest) see(cmd goredis.Cmder) {
	switch got := cmd.(type) {
	case *goredis.StringSliceCmd:
		l.members = max(l.members, len(got.Val()))
	case *goredis.ScanCmd:
		page, _ := got.Val()
		l.members = max(l.members, len(page))
	}
}

func (l *largest) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []goredis.Cmder) error {
		l.commands = max(l.commands, len(cmds))
		err := next(ctx, cmds)
		for _, cmd := range cmds {
			l.see(cmd)
		}
		return err
	}
}

// TestAChainOfTheWholeFleetIsLookedAtInPieces has one that more certificates use than
// one question may ask about.
func TestAChainOfTheWholeFleetIsLookedAtInPieces(t *testing.T) {
	t.Parallel()
	p := newPlace(t, Config{Layout: 1})
	const users = 5*scanPage + 1
	labels := make([]any, users)
	for i := range labels {
		labels[i] = fmt.Sprint("c", i)
	}
	if err := p.db.SAdd(t.Context(), p.usersKey("i:7"), labels...).Err(); err != nil {
		t.Fatal(err)
	}
	seen, found := &largest{}, map[string]bool{}
	p.db.AddHook(seen)
	err := p.leftovers(t.Context(), p.db, func(list []leftover) error {
		for _, l := range list {
			found[l.label] = true
		}
		return nil
	})
	if err != nil || len(found) != users || seen.commands > scanPage || seen.members > 2*scanPage {
		t.Errorf("%d of %d are found, by up to %d commands and %d members at once, %v", len(found), users, seen.commands, seen.members, err)
	}
}
