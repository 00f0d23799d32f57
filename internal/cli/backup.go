package cli

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/certfleet/certfleet/internal/app"
	"github.com/certfleet/certfleet/internal/config"
)

func (p *program) backupCommand() *cobra.Command {
	var encrypt bool
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Write the whole database into one file, while it is in use",
		Long: `Write the database as it is at one moment into one SQLite file of mode 0600, while
a manager may run; also from PostgreSQL. Private keys in it stay sealed: keep the
sealing key too, but not beside the backup. With --encrypt the file is an age file
that the sealing key opens.`,
		Example: "  certfleet backup /backup/certfleet-$(date +%F).db\n  certfleet backup --encrypt /backup/certfleet.age",
		Args:    args(1, 1, "a file"),
		RunE: func(cmd *cobra.Command, words []string) error {
			return p.backup(cmd.Context(), words[0], encrypt)
		},
	}
	cmd.Flags().BoolVar(&encrypt, "encrypt", false, "encrypt it to the sealing key")
	return cmd
}

func (p *program) backup(ctx context.Context, path string, encrypt bool) error {
	c, err := config.Load(p.flags.config)
	if err != nil {
		return err
	}
	var rows int64
	b := p.busy("copying")
	err = app.Backup(ctx, c, path, encrypt, func(table string, n int64) {
		rows += n
		b.set("copied %s, %d rows", table, n)
	})
	b.end()
	if err != nil {
		return err
	}
	size := int64(0)
	if info, err := os.Stat(path); err == nil {
		size = info.Size()
	}
	return p.answered(map[string]any{"file": path, "rows": rows, "bytes": size, "encrypted": encrypt}, func() {
		p.say("%s holds %d rows in %d KiB%s", path, rows, (size+1023)/1024, word(encrypt, ", encrypted to the sealing key", ""))
	})
}

func (p *program) restoreCommand() *cobra.Command {
	var o app.RestoreOptions
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Bring a backup back",
		Long: `Bring a backup back into the configured database, or another one, which must be
empty. Then everything that may have gone on since is looked at again by the next
manager that runs: live orders are asked for at their CA, renewal windows too, and
no edge counts as served until it is seen again.

With --adopt what was issued since is looked for now: CAs are asked for the orders
that were open, and for others where they list them; targets on this machine are
read, key and all; and edges are looked at. What has its key here is put to use.
What has not is told with its serial, and its certificate is renewed at once.`,
		Example: "  certfleet restore /backup/certfleet.db\n  certfleet restore /backup/certfleet.age --force --adopt\n  certfleet restore backup.db --into postgres://certfleet@db/certfleet",
		Args:    args(1, 1, "a backup"),
		RunE:    func(cmd *cobra.Command, words []string) error { return p.restore(cmd.Context(), words[0], o) },
	}
	cmd.Flags().StringVar(&o.Into, "into", "", "another `DATABASE` than the configured one")
	cmd.Flags().BoolVar(&o.Force, "force", false, "replace what is there; a SQLite file is kept beside as NAME.replaced")
	cmd.Flags().BoolVar(&o.Adopt, "adopt", false, "look for what was issued since, at CAs, targets and edges")
	return cmd
}

func (p *program) restore(ctx context.Context, path string, o app.RestoreOptions) error {
	c, err := config.Load(p.flags.config)
	if err != nil {
		return err
	}
	b := p.busy("restoring %s", path)
	into, err := app.Restore(ctx, c, path, o)
	b.end()
	if err != nil {
		return err
	}
	if !o.Adopt {
		return p.answered(map[string]any{"database": into}, func() { p.sayRestored(into) })
	}
	b = p.busy("looking for what was issued since")
	got, err := app.AdoptIssued(ctx, c, o.Into, func(what string) { b.set("%s", what) })
	b.end()
	if got == nil {
		got = &app.Adoption{}
	}
	out := struct {
		Database string `json:"database"`
		*app.Adoption
	}{into, got}
	if e := p.answered(out, func() { p.sayRestored(into); p.sayAdopted(got) }); e != nil {
		return e
	}
	return err
}

func (p *program) sayRestored(into string) {
	p.say("%s is restored; certfleet serve looks at everything again", into)
}

func (p *program) sayAdopted(got *app.Adoption) {
	for _, a := range got.Adopted {
		p.say("  %s", a.Say())
	}
	p.say("asked for %d open orders, looked at %d certificates; of %d of these nothing could be seen", got.Orders, got.Looked, got.Unseen)
	for _, m := range got.Missed {
		p.say("  %s", m)
	}
	if len(got.Adopted) == 0 {
		p.say("nothing was found that is not in the backup")
	}
}

func (p *program) rekeyCommand() *cobra.Command {
	var fresh string
	cmd := &cobra.Command{
		Use:   "rekey",
		Short: "Change the sealing key",
		Long: `Put everything under a new sealing key. Only the few data keys are wrapped anew,
so it takes moments at any size. A key in a file is replaced by a new one, and kept
beside as NAME.ID.old; for one elsewhere, name the new one with --new and change
sealing_key afterwards.

A manager that runs goes on with what it has open, but is not ready until it takes
the new key: bring the key to every node, and reload it there with SIGHUP. Restart
instead where the key is in the environment or a systemd credential.

When it is interrupted, run it again.`,
		Example: "  certfleet rekey\n  certfleet rekey --new file:/etc/certfleet/sealing-2.key\n  certfleet rekey --new env:NEW_SEALING_KEY",
		Args:    none,
		RunE:    func(cmd *cobra.Command, _ []string) error { return p.rekey(cmd.Context(), fresh) },
	}
	cmd.Flags().StringVar(&fresh, "new", "", "where the new key is or is made, file:PATH or env:NAME (default it is made and takes the old one's place)")
	return cmd
}

func (p *program) rekey(ctx context.Context, fresh string) error {
	c, err := config.Load(p.flags.config)
	if err != nil {
		return err
	}
	var ref config.Reference
	if err := ref.UnmarshalText([]byte(fresh)); err != nil {
		return err
	}
	b := p.busy("wrapping data keys")
	got, err := app.Rekey(ctx, c, ref, func(done, all int) { b.set("wrapped %d of %d data keys", done, all) })
	b.end()
	if err != nil {
		return err
	}
	return p.answered(got, func() {
		p.say("%d data keys are sealed under %s instead of %s", got.Rewrapped, got.To, got.From)
		if got.Old == "" {
			p.say("now set sealing_key to %s in %s, and reload the manager (SIGHUP), or restart it if the key is in its environment", got.Key, fmt.Sprint(c.Path))
			return
		}
		p.say("the new key is in %s, the old one in %s; back the new one up, and remove the old one when no backup needs it", got.Key, got.Old)
		p.say("a manager that runs takes it with SIGHUP: systemctl reload certfleet")
	})
}
