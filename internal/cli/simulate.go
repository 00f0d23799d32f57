package cli

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/simulate"
)

// rehearsal is what simulate is asked for.
type rehearsal struct {
	o                            simulate.Options
	mix, from, picture           string
	outages, revokes, exceptions []string
}

func (p *program) simulateCommand() *cobra.Command {
	var r rehearsal
	cmd := &cobra.Command{
		Use:   "simulate",
		Short: "Let a fleet live for years in minutes, with outages and mass revocations",
		Long: `Let a fleet live for years in minutes: the planner, the lanes, the ledger and the
store that a manager works with, against a CA in this process that enforces the
limits of Let's Encrypt and follows its announced lifetimes. It says what expired,
what was late and why, which limits were met, and how much there was to do.

The same options and seed give the same result. Nothing leaves this machine.`,
		Example: `  certfleet simulate --fleet 10000 --days 90
  certfleet simulate --fleet 100000 --profile all --days 730 --outage 3d@200 --revoke 30%@400 --picture fleet.svg
  certfleet simulate --fleet 20000 --new 20000 --days 30 --override new-orders=3000/3h --json`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := r.read(); err != nil {
				return err
			}
			return p.simulate(cmd.Context(), r)
		},
	}
	f := cmd.Flags()
	f.IntVar(&r.o.Fleet, "fleet", 10000, "certificates of one name each")
	f.StringVar(&r.mix, "profile", "mix", "mix (45 and 90 days), all (and 6 days), classic, tlsserver or shortlived, or `WEIGHTS` such as classic:50,shortlived:10")
	f.IntVar(&r.o.Days, "days", 90, "how long")
	f.StringArrayVar(&r.outages, "outage", nil, "the CA does not answer, `LENGTH@DAY` such as 3d@200; again for more")
	f.StringArrayVar(&r.revokes, "revoke", nil, "a mass revocation, `SHARE%@DAY` such as 30%@400; again for more")
	f.StringVar(&r.o.Limits, "limits", "letsencrypt", "whose published limits the CA enforces: letsencrypt, letsencrypt-staging or none")
	f.StringArrayVar(&r.exceptions, "override", nil, "a limit that the CA granted, `LIMIT=COUNT/PERIOD` such as new-orders=3000/3h; again for more")
	f.IntVar(&r.o.IPs, "ips", 1, "addresses from which requests leave")
	f.IntVar(&r.o.New, "new", 0, "so many of the fleet have no certificate at the start")
	f.Float64Var(&r.o.BadNonces, "bad-nonces", 0, "share of requests whose nonce is refused, 0 to 0.2")
	f.BoolVar(&r.o.Backup, "second", false, "there is a second authority to fail over to")
	f.StringVar(&r.from, "from", simulate.Begin.Format(time.DateOnly), "the first `DATE`")
	f.Uint64Var(&r.o.Seed, "seed", 1, "decides what looks like chance")
	f.StringVar(&r.picture, "picture", "", "draw it into this SVG `FILE`")
	cmd.MarkFlagFilename("picture", "svg")
	return cmd
}

// read understands what the flags say.
func (r *rehearsal) read() (err error) {
	if r.o.From, err = time.Parse(time.DateOnly, r.from); err != nil {
		return &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf("%q is no date", r.from), Advice: "write --from as 2027-01-31"}
	}
	if r.o.Mix, err = simulate.ParseMix(r.mix); err != nil {
		return err
	}
	if r.o.Outages, err = each(r.outages, simulate.ParseOutage); err != nil {
		return err
	}
	if r.o.Revokes, err = each(r.revokes, simulate.ParseRevocation); err != nil {
		return err
	}
	if r.o.Overrides, err = each(r.exceptions, simulate.ParseOverride); err != nil {
		return err
	}
	if r.picture != "" && !strings.HasSuffix(r.picture, ".svg") {
		return &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf("the picture is drawn as SVG, and %q is no name for one", r.picture), Advice: "give --picture a name that ends in .svg"}
	}
	return r.o.Check()
}

func each[T any](list []string, parse func(string) (T, error)) (out []T, err error) {
	for _, s := range list {
		v, err := parse(s)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

func (p *program) simulate(ctx context.Context, r rehearsal) error {
	began := time.Now()
	paper, err := r.paper()
	if err != nil {
		return err
	}
	if paper != nil {
		defer paper.Close()
	}
	b := p.busy("planting %d certificates", r.o.Fleet)
	r.o.Progress = func(d simulate.Day) {
		b.set("%s %s: %d orders, %d due and not done", bar(d.Day+1, r.o.Days), d.Date, d.Orders, d.Backlog)
		if p.flags.json {
			p.json(d)
		}
	}
	got, err := simulate.Run(ctx, r.o)
	b.end()
	if err != nil {
		return err
	}
	if paper != nil {
		if err := got.Picture(paper); err != nil {
			return err
		}
	}
	if p.flags.json {
		return p.json(got)
	}
	p.saySimulated(got)
	p.note("it took %s", time.Since(began).Round(100*time.Millisecond))
	return nil
}

// bar is how far something is.
func bar(n, of int) string {
	const wide = 30
	full := min(n*wide/max(of, 1), wide)
	return "[" + strings.Repeat("=", full) + strings.Repeat(" ", wide-full) + "]"
}

// paper is the file that the picture is drawn into, opened before years have
// passed for nothing; nil where none is wanted.
func (r *rehearsal) paper() (*os.File, error) {
	if r.picture == "" {
		return nil, nil
	}
	f, err := os.Create(r.picture)
	if err != nil {
		return nil, &certfleet.Error{Kind: certfleet.Invalid, Msg: "draw the picture", Advice: "name a file that can be written", Err: err}
	}
	return f, nil
}

func (p *program) saySimulated(r *simulate.Result) {
	f := p.fields()
	f.add("fleet", fmt.Sprintf("%d certificates, %d days from %s, seed %d", r.Fleet, r.Days, r.From, r.Seed))
	f.add("expired", fmt.Sprint(r.Expired))
	f.add("late", fmt.Sprintf("%d%s", r.Late, counts(r.LateBecause)))
	f.add("early", fmt.Sprint(r.Early))
	f.add("breaches", fmt.Sprintf("%d%s", r.Breaches, counts(r.BreachesOf)))
	f.add("orders", fmt.Sprintf("%d, at most %.2f a second over a minute", r.Orders, r.PeakOrders))
	f.add("requests", fmt.Sprintf("%d, at most %.2f a second; %d of them ask when to renew", r.Requests, r.PeakRequests, r.Polls))
	f.add("backlog", fmt.Sprintf("%d at most at the end of a day", r.PeakBacklog))
	if r.FailedOver > 0 {
		f.add("failed over", fmt.Sprint(r.FailedOver))
	}
	if r.WithoutFirst > 0 {
		f.add("never got", fmt.Sprint(r.WithoutFirst))
	}
	for _, profile := range slices.Sorted(maps.Keys(r.LeastDays)) {
		f.add("least left", fmt.Sprintf("%.1f days at a renewal, %s", r.LeastDays[profile], profile))
	}
	f.flush()
}

// counts are numbers by word, in brackets.
func counts(m map[string]int) string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, fmt.Sprintf("%d %s", m[k], k))
	}
	if len(out) == 0 {
		return ""
	}
	return " (" + strings.Join(out, ", ") + ")"
}
