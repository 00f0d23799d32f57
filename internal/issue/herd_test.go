package issue_test

import (
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/fakeca"
	"github.com/certfleet/certfleet/internal/trial"
)

// TestAfterADayOfDowntimeTheHerdKeepsInLane lets every node be down for a day in
// which renewals fall due, urgent ones too, and a migration is asked for.
func TestAfterADayOfDowntimeTheHerdKeepsInLane(t *testing.T) {
	trial.InFull(t)
	t.Parallel()
	bubble(t, fakeca.Options{}, func(f *fleet) {
		fleet := f.want(certfleet.LaneNew, many("r%d.example", 100)...)
		f.live(72 * time.Hour)
		was := map[int64]int64{}
		for _, c := range fleet {
			got := f.certificate(c.ID)
			if was[c.ID] = got.VersionID; got.VersionID == 0 {
				f.Fatalf("%s has no version: %s", got.Label, got.Problem)
			}
		}
		time.Sleep(24 * time.Hour) // nobody works
		moved := f.want(certfleet.LaneBackfill, many("m%d.example", 400)...)
		urgent := append(f.want(certfleet.LaneEmergency, many("e%d.example", 5)...), f.want(certfleet.LaneExpiring, many("x%d.example", 5)...)...)
		late := 0
		for _, c := range fleet {
			if f.certificate(c.ID).DueAt.Before(time.Now()) {
				late++
			}
		}
		if late < 50 {
			f.Fatalf("only %d renewals fell due in the downtime", late)
		}
		f.live(10 * time.Minute)
		for _, c := range urgent {
			if f.certificate(c.ID).VersionID == 0 {
				f.Errorf("%s of lane %s waits behind others: %s", c.Label, c.Lane, f.certificate(c.ID).DueReason)
			}
		}
		for _, c := range fleet {
			if got := f.certificate(c.ID); got.DueAt.Before(time.Now()) || !got.NotAfter.After(time.Now()) {
				f.Errorf("%s still has version %d (had %d), due %s: %s", c.Label, got.VersionID, was[c.ID], got.DueAt, got.DueReason)
			}
		}
		through := 0
		for _, c := range moved {
			if f.certificate(c.ID).VersionID != 0 {
				through++
			}
		}
		const bucket = 300 + 17 // and what came back in ten minutes, one in 36 seconds
		if through == 0 || through > bucket {
			f.Errorf("%d of the migration went through at once, want some, and at most what the account may order", through)
		}
		f.live(6 * time.Hour)
		for _, c := range moved {
			if got := f.certificate(c.ID); got.VersionID == 0 {
				f.Errorf("%s is not through after six hours: %s", c.Label, got.DueReason)
			}
		}
		f.unbroken()
	})
}
