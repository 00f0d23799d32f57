package app

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/work"
)

// kinds are all kinds of work, in the order in which a tick does them.
func (a *App) kinds(owner string) []work.Kind {
	return []work.Kind{
		{
			Name: "raises",
			Due:  due(a.DB.DueRaises, func(d store.Due) int64 { return d.ID }),
			Do:   func(ctx context.Context, id int64) error { return a.Issue.Raise(ctx, id, time.Now()) },
			Say: func(_ context.Context, id int64) string {
				return fmt.Sprintf("put certificate %d among the expiring", id)
			},
		},
		{
			Name: "renewals",
			Due:  a.Issue.Due,
			Do:   func(ctx context.Context, id int64) error { return a.Issue.Open(ctx, id, time.Now()) },
			Say: func(ctx context.Context, id int64) string {
				c, err := a.DB.Certificate(ctx, id)
				return say(err, func() string { return fmt.Sprintf("open an order for %s: %s", c.Label, c.DueReason) })
			},
		},
		{
			Name: "backups",
			Due:  a.Issue.DueBackups,
			Do:   func(ctx context.Context, id int64) error { return a.Issue.OpenBackup(ctx, id, time.Now()) },
			Say: func(ctx context.Context, id int64) string {
				b, err := a.DB.BackupOf(ctx, id)
				return say(err, func() string {
					return fmt.Sprintf("open an order for the backup of certificate %d: %s", id, b.DueReason)
				})
			},
		},
		{
			Name: "backup-fills",
			Due:  due(a.DB.DueBackupFills, func(f store.BackupFill) int64 { return f.PolicyID }),
			Do:   func(ctx context.Context, id int64) error { return a.Issue.FillBackups(ctx, id, time.Now()) },
			Say: func(_ context.Context, id int64) string {
				return fmt.Sprintf("want backups for the certificates of policy %d", id)
			},
		},
		{
			Name: "replacements",
			Due:  due(a.DB.DueReplacements, func(r certfleet.Replacement) int64 { return r.ID }),
			Do:   func(ctx context.Context, id int64) error { return a.Issue.Replace(ctx, id, time.Now()) },
			Say:  func(_ context.Context, id int64) string { return fmt.Sprintf("take replacement %d further", id) },
		},
		{
			Name: "parked",
			Due:  due(a.DB.DueParked, func(c certfleet.Certificate) int64 { return c.ID }),
			Do:   func(ctx context.Context, id int64) error { return a.Issue.Watch(ctx, id, time.Now()) },
			Say: func(ctx context.Context, id int64) string {
				c, err := a.DB.Certificate(ctx, id)
				return say(err, func() string { return fmt.Sprintf("look whether the names of %s point here again", c.Label) })
			},
		},
		work.Orders(a.DB, owner, a.Issue.Step),
		{
			Name: "cleanups",
			Due:  due(a.DB.DueCleanups, func(c certfleet.StoredChallenge) int64 { return c.ID }),
			Do:   a.cleanUp,
			Say:  func(_ context.Context, id int64) string { return fmt.Sprintf("take challenge %d away", id) },
		},
		{
			Name: "deliveries",
			Due:  a.Deliver.Due,
			Do:   a.Deliver.Do,
			Say: func(ctx context.Context, id int64) string {
				d, err := a.DB.Delivery(ctx, id)
				return say(err, func() string {
					return fmt.Sprintf("bring version %d to target %d (%s)", d.VersionID, d.TargetID, d.State)
				})
			},
		},
		{
			Name: "windows",
			Due:  due(a.DB.DuePolls, func(v certfleet.Version) int64 { return v.ID }),
			Do:   func(ctx context.Context, id int64) error { return a.Issue.PollARI(ctx, id, time.Now()) },
			Say: func(ctx context.Context, id int64) string {
				v, err := a.DB.Version(ctx, id)
				return say(err, func() string { return "ask when to renew " + strings.Join(certfleet.Strings(v.Names), ", ") })
			},
		},
		{
			Name: "agents",
			Due:  a.silentAgents,
			Do:   func(ctx context.Context, id int64) error { return a.Enroll.Silent(ctx, id, time.Now()) },
			Say: func(ctx context.Context, id int64) string {
				g, err := a.DB.Agent(ctx, id)
				return say(err, func() string { return "tell that agent " + g.Label + " is silent" })
			},
		},
		{
			Name: "retention",
			Due:  a.ageDue,
			Do:   func(ctx context.Context, _ int64) error { return a.age(ctx) },
			Say:  func(context.Context, int64) string { return "remove records that are older than retention keeps" },
		},
	}
}

func due[T any](list func(context.Context, time.Time, int) ([]T, error), id func(T) int64) func(context.Context, time.Time, int) ([]int64, error) {
	return func(ctx context.Context, now time.Time, limit int) ([]int64, error) {
		rows, err := list(ctx, now, limit)
		ids := make([]int64, len(rows))
		for i, r := range rows {
			ids[i] = id(r)
		}
		return ids, err
	}
}

func say(err error, words func() string) string {
	if err != nil {
		return err.Error()
	}
	return words()
}

func (a *App) cleanUp(ctx context.Context, id int64) error {
	c, err := a.DB.Challenge(ctx, id)
	if err != nil {
		return err
	}
	return a.Issue.CleanUp(ctx, *c, time.Now())
}

// agedAt is the setting that says when retention was last enforced.
const agedAt = "aged_at"

func (a *App) ageDue(ctx context.Context, now time.Time, _ int) ([]int64, error) {
	last, err := a.DB.Setting(ctx, agedAt)
	if err != nil {
		return nil, err
	}
	if at, err := time.Parse(time.RFC3339, last); err == nil && now.Sub(at) < time.Hour {
		return nil, nil
	}
	return []int64{1}, nil
}

// age removes a batch at a time, so that nobody waits long for the writer.
func (a *App) age(ctx context.Context) error {
	now, keep := time.Now(), a.Config.Retention
	if due, err := a.ageDue(ctx, now, 1); err != nil || len(due) == 0 {
		return err
	}
	if err := a.forgetLookups(ctx, now.Add(-time.Duration(keep.Lookups))); err != nil {
		return err
	}
	for more := true; more && !work.Stopping(ctx); {
		err := a.DB.Tx(ctx, now, func(tx *store.Tx) (err error) {
			more, err = tx.Age(ctx, now.Add(-time.Duration(keep.Exchanges)), now.Add(-time.Duration(keep.Events)), 1000)
			if err == nil && !more {
				err = tx.SetSetting(ctx, agedAt, now.UTC().Format(time.RFC3339))
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
