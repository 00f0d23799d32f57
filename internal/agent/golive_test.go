package agent

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/updater"
)

// troubled is a live folder in which something goes wrong, behind the change or
// before it.
type troubled struct {
	liveFolder
	before bool
}

func (l troubled) put(ctx context.Context, going []proposal) ([]certfleet.Receipt, error) {
	receipts := make([]certfleet.Receipt, len(going))
	if !l.before {
		var err error
		if receipts, err = l.liveFolder.put(ctx, going); err != nil {
			return nil, err
		}
	}
	for i := range receipts {
		receipts[i].Err = errors.New("the disk makes trouble")
	}
	return receipts, nil
}

type told struct{ n int }

func (u *told) Update(context.Context, []certfleet.Bundle) error { u.n++; return nil }

func TestServicesAreToldOfWhatWentLiveBeforeSomethingWentWrong(t *testing.T) {
	for before, want := range map[bool]int{false: 1, true: 0} {
		k, u := newKit(t, nil), &told{}
		k.items = []updater.Item{{Name: "web", Updater: u}}
		good := k.live
		k.live = troubled{good, before}
		k.stage("shop", pair(t, time.Hour, "shop.example"))
		if _, err := k.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		if u.n != want {
			t.Errorf("wrong before the change %v: services were told %d times, want %d", before, u.n, want)
		}
		k.live = good
		k.sync()
		if u.n != 1 {
			t.Errorf("wrong before the change %v: when all is well again services were told %d times, want 1", before, u.n)
		}
	}
}
