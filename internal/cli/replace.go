package cli

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/client"
)

// replacing are the flags of replace.
type replacing struct {
	client.NewReplacement
	serials, between string
	labels           []string
	abort, resume    int64
	list, wait, yes  bool
	max              duration
	by               string
}

func (p *program) replaceCommand() *cobra.Command {
	r := &replacing{}
	cmd := &cobra.Command{
		Use:   "replace",
		Short: "Take many certificates out of use, as when a CA revokes them",
		Long: `Get new versions of all certificates that --issuer, --profile, --serials,
--issued-between and --label choose, before all other orders and as fast as the
limits of their CAs allow. With --revoke each old version is revoked once the
new one is there, and with --revoke-by all that are left are revoked at that
moment, ready or not: it is decided before the start, and --dry-run says how many
cannot be ready. It goes on by itself, over restarts; --abort stops it, and what
was not begun renews when it would have. --resume goes on, and looks once more at
what was left aside and at what could not be revoked.`,
		Example: `  certfleet replace --issuer R12 --issued-between 2026-11-01..2026-11-03 --dry-run
  certfleet replace --issuer R12 --revoke --revoke-by 5d --dry-run
  certfleet replace --serials revoked.txt --wait
  certfleet replace --list
  certfleet replace --abort 3`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.replace(cmd.Context(), r) },
	}
	f := cmd.Flags()
	f.StringVar(&r.Issuer, "issuer", "", "those from the issuer with this common `NAME`")
	f.StringVar(&r.Profile, "profile", "", "those of this certificate `PROFILE`")
	f.StringVar(&r.serials, "serials", "", "those whose serial numbers stand in this `FILE`, one a line (- for stdin)")
	f.StringVar(&r.between, "issued-between", "", "those issued between two moments or days, as `A..B`; B is not included")
	f.StringArrayVar(&r.labels, "label", nil, "those that carry this `KEY=VALUE`; may be given several times")
	f.BoolVar(&r.Revoke, "revoke", false, "revoke each old version once another one took its place")
	f.StringVar(&r.by, "revoke-by", "", "with --revoke: revoke all that are left at this `TIME`, or so long from now")
	f.BoolVar(&r.DryRun, "dry-run", false, "only say how many there are, and how long it takes")
	f.Int64Var(&r.abort, "abort", 0, "stop the replacement with this `ID`")
	f.Int64Var(&r.resume, "resume", 0, "let the replacement with this `ID` go on")
	f.BoolVar(&r.list, "list", false, "list replacements and how far they are")
	f.BoolVar(&r.wait, "wait", false, "wait until it is done")
	r.max.d = certfleet.Duration(24 * time.Hour)
	f.Var(&r.max, "timeout", "how long to wait at most, such as 10m")
	f.BoolVarP(&r.yes, "yes", "y", false, "do not ask")
	return cmd
}

func (p *program) replace(ctx context.Context, r *replacing) error {
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	var got *client.Replacement
	switch {
	case r.list:
		all, err := c.Replacements(ctx)
		return list(p, values(all, err), 0, []string{"ID", "STATE", "TOTAL", "WAITING", "ASKED", "REPLACED", "REVOKED", "BEGAN"}, func(x client.Replacement) []string {
			return []string{fmt.Sprint(x.ID), x.State, fmt.Sprint(x.Total), fmt.Sprint(x.Waiting), fmt.Sprint(x.Asked), fmt.Sprint(x.Replaced), fmt.Sprint(x.Revoked) + early(x.Overdue), p.when(x.CreatedAt)}
		})
	case r.abort != 0:
		got, err = c.AbortReplacement(ctx, r.abort)
	case r.resume != 0:
		got, err = p.resumeReplacement(ctx, c, r)
	default:
		got, err = p.beginReplacement(ctx, c, r)
	}
	if err != nil {
		return err
	}
	return p.replaced(ctx, c, got, r.wait && !r.DryRun, time.Duration(r.max.d))
}

func (p *program) beginReplacement(ctx context.Context, c *client.Client, r *replacing) (*client.Replacement, error) {
	var err error
	if r.Labels, err = labelled(r.labels); err != nil {
		return nil, err
	}
	if r.serials != "" {
		if r.Serials, err = p.readLines(r.serials); err != nil {
			return nil, err
		}
	}
	if r.IssuedAfter, r.IssuedBefore, err = between(r.between); err != nil {
		return nil, err
	}
	if r.RevokeBy, err = p.moment(r.by); err != nil {
		return nil, err
	}
	plan := r.NewReplacement
	plan.DryRun = true
	what, err := c.AddReplacement(ctx, plan)
	if err != nil || r.DryRun {
		return what, err
	}
	if err := p.confirm(ctx, r.yes, fmt.Sprintf("%d certificates are ordered anew before all others%s", what.Waiting, p.deadline(what))); err != nil {
		return nil, err
	}
	return c.AddReplacement(ctx, r.NewReplacement)
}

// deadline says what happens to those that are not ready in time.
func (p *program) deadline(r *client.Replacement) string {
	if r.RevokeBy.IsZero() {
		return ""
	}
	out := ", and those that are left are revoked " + p.when(r.RevokeBy)
	if r.Late > 0 {
		out += fmt.Sprintf(" (%d cannot be ready by then)", r.Late)
	}
	return out
}

// resumeReplacement asks before a replacement goes on whose time has come while it
// was stopped, because all that are left are then revoked at once.
func (p *program) resumeReplacement(ctx context.Context, c *client.Client, r *replacing) (*client.Replacement, error) {
	is, err := c.Replacement(ctx, r.resume)
	if err != nil {
		return nil, err
	}
	if left := is.Waiting + is.Asked + is.Skipped; left > 0 && !is.RevokeBy.IsZero() && !p.now().Before(is.RevokeBy) {
		if err := p.confirm(ctx, r.yes, fmt.Sprintf("%d versions are revoked at once, as their time was %s", left, p.when(is.RevokeBy))); err != nil {
			return nil, err
		}
	}
	return c.ResumeReplacement(ctx, r.resume)
}

// moment is a time or a span from now; an empty one is none.
func (p *program) moment(s string) (time.Time, error) {
	var d duration
	if s == "" {
		return time.Time{}, nil
	}
	if d.Set(s) == nil {
		return p.now().Add(time.Duration(d.d)), nil
	}
	at, err := moment(s)
	if err != nil {
		return at, invalid("write a span such as 24h or 5d, or a moment such as 2026-11-01T10:00:00Z", "%q is no moment", s)
	}
	return at, nil
}

// readLines reads words, one a line; empty lines and what follows # are left out.
func (p *program) readLines(file string) ([]string, error) {
	in := p.In
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, invalid("name a file that can be read", "%v", err)
		}
		defer f.Close()
		in = f
	}
	var out []string
	s := bufio.NewScanner(in)
	for s.Scan() {
		line, _, _ := strings.Cut(s.Text(), "#")
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	return out, s.Err()
}

// between reads two moments or days with .. between them; one may be left out.
func between(s string) (from, until time.Time, err error) {
	if s == "" {
		return from, until, nil
	}
	a, b, ok := strings.Cut(s, "..")
	if !ok {
		return from, until, invalid("write two moments with .. between them, such as 2026-11-01..2026-11-03", "%q is no span of time", s)
	}
	if from, err = moment(a); err == nil {
		until, err = moment(b)
	}
	return from, until, err
}

func moment(s string) (time.Time, error) {
	if s = strings.TrimSpace(s); s == "" {
		return time.Time{}, nil
	}
	for _, form := range []string{time.RFC3339, "2006-01-02T15:04", time.DateOnly} {
		if at, err := time.Parse(form, s); err == nil {
			return at, nil
		}
	}
	return time.Time{}, invalid("write a day such as 2026-11-01, or a moment such as 2026-11-01T10:00:00Z", "%q is no moment", s)
}

// replaced says how far a replacement is, when it is asked for after it has ended.
func (p *program) replaced(ctx context.Context, c *client.Client, r *client.Replacement, wait bool, most time.Duration) error {
	if wait {
		waiting, cancel := bounded(ctx, most)
		defer cancel()
		b := p.busy("replacement %d", r.ID)
		defer b.end()
		for r.State == "running" || r.State == "aborting" {
			b.set("replacement %d: %d of %d replaced, %d revoked", r.ID, r.Replaced+r.Revoked, r.Total, r.Revoked)
			select {
			case <-waiting.Done():
				return &certfleet.Error{Kind: certfleet.Limited, Msg: fmt.Sprintf("replacement %d is not done", r.ID), Advice: "see certfleet replace --list; it goes on without anybody waiting"}
			case <-time.After(look):
			}
			var err error
			if r, err = c.Replacement(ctx, r.ID); err != nil {
				return err
			}
		}
		b.end()
	}
	return p.answered(r, func() { p.sayReplacement(r) })
}

func (p *program) sayReplacement(r *client.Replacement) {
	f := p.fields()
	if r.ID != 0 {
		f.add("replacement", fmt.Sprint(r.ID))
	}
	f.add("state", r.State).add("concerned", fmt.Sprint(r.Total)+word(r.Found, "", " so far")).add("not yet due", count(r.Waiting)).add("due or ordered", count(r.Asked)).
		add("replaced", count(r.Replaced)).add("revoked", count(r.Revoked)).add("revoked too early", count(r.Overdue)).add("revokes all that are left", p.whenIf(r.RevokeBy)).add("cannot be ready by then", count(r.Late)).add("skipped", count(r.Skipped)).add("not revoked by the CA", count(r.Stuck)).
		add("takes at least", r.Takes).add("because of", strings.Join(r.Limits, "\n")).flush()
}

// early says how many were revoked before another took their place.
func early(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" (%d too early)", n)
}

// whenIf is when, or nothing.
func (p *program) whenIf(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return p.when(t)
}

func count(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}
