package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/client"
)

// wholeRun is what targets prime and targets verify have in common.
type wholeRun struct {
	what, short, long string
	start, look       func(*client.Client, context.Context, string) (*client.TargetRun, error)
}

func (p *program) primeTarget() *cobra.Command {
	return p.runTarget(wholeRun{"prime", "Write everything to a target that it should hold",
		"Write everything to a target that it should hold, whatever is there, such as into\na Redis that came back empty. Edges go on serving meanwhile. One that was\ninterrupted goes on where it was, within a day.",
		(*client.Client).PrimeTarget, (*client.Client).Prime})
}

func (p *program) verifyTarget() *cobra.Command {
	return p.runTarget(wholeRun{"verify", "Compare what a target holds with what it should",
		"Compare what a target holds with what it should: each name has the current\ncertificate, and its key fits. It changes nothing.",
		(*client.Client).VerifyTarget, (*client.Client).Verification})
}

func (p *program) runTarget(r wholeRun) *cobra.Command {
	w := waiting{max: duration{d: certfleet.Duration(time.Hour)}}
	cmd := &cobra.Command{
		Use: r.what + " LABEL", Short: r.short, Long: r.long + "\nIt runs in the manager; asked again, the command tells how it stands. For targets\nof type redis.",
		Example: "  certfleet targets " + r.what + " edges --wait", Args: args(1, 1, "the label of a target"), ValidArgsFunction: p.offers(1, targetLabels),
		RunE: func(cmd *cobra.Command, words []string) error {
			if err := w.check(p); err != nil {
				return err
			}
			return p.runWhole(cmd.Context(), r, words[0], w)
		},
	}
	cmd.Flags().BoolVar(&w.on, "wait", false, "wait until it is done, and show how it goes")
	cmd.Flags().Var(&w.max, "timeout", "how long to wait at most, such as 10m")
	return cmd
}

func (p *program) runWhole(ctx context.Context, r wholeRun, label string, w waiting) error {
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	run, err := r.start(c, ctx, label)
	if err != nil {
		return p.similar(ctx, err, label, targetLabels)
	}
	if w.on {
		if run, err = p.followRun(ctx, c, r, run, time.Duration(w.max.d)); err != nil {
			return err
		}
	}
	if err := p.answered(run, func() { p.sayRun(run) }); err != nil {
		return err
	}
	return runProblem(run)
}

// followRun looks again and again until it has ended.
func (p *program) followRun(ctx context.Context, c *client.Client, r wholeRun, run *client.TargetRun, most time.Duration) (_ *client.TargetRun, err error) {
	ctx, cancel := bounded(ctx, most)
	defer cancel()
	b := p.busy("%s %s", r.what, run.Target)
	defer b.end()
	for run.State == "running" {
		b.set("%s %s: %s", r.what, run.Target, runText(run))
		if err = rest(ctx, look); err == nil {
			run, err = r.look(c, ctx, run.Target)
		}
		if errors.Is(err, context.DeadlineExceeded) {
			return nil, &certfleet.Error{Kind: certfleet.Limited, Msg: fmt.Sprintf("it was not done within %s", span(most)), Advice: "ask again how it stands; it goes on without anybody waiting"}
		}
		if err != nil {
			return nil, err
		}
	}
	return run, nil
}

func runText(r *client.TargetRun) string {
	s := fmt.Sprintf("%d of %d certificates", r.Certificates, r.Total)
	if r.Failed > 0 {
		s += fmt.Sprintf(", %d failed", r.Failed)
	}
	return s
}

func (p *program) sayRun(r *client.TargetRun) {
	f := p.fields().add(r.What, r.Target).add("state", r.State).add("so far", runText(r)).add("started", p.when(r.StartedAt))
	if r.Names > 0 {
		f.add("names", fmt.Sprint(r.Names))
	}
	if r.EndedAt != nil {
		f.add("took", span(r.EndedAt.Sub(r.StartedAt)))
	}
	f.flush()
	if len(r.Findings) > 0 {
		p.printAll([]string{"CERTIFICATE", "SHOULD BE", "IS", "PROBLEM"}, rows(r.Findings, func(d client.Finding) []string {
			return []string{d.Certificate, cut(d.Want, 12), dash(cut(d.Have, 12)), cut(d.Problem, 80)}
		}))
	}
}

// runProblem is the exit status of a run that ended badly.
func runProblem(r *client.TargetRun) error {
	switch {
	case r.Problem != "":
		return &certfleet.Error{Kind: certfleet.Internal, Msg: r.What + " of " + r.Target + ": " + r.Problem, Advice: r.Advice}
	case r.Failed > 0 && r.What == "verify":
		return &certfleet.Error{Kind: certfleet.Conflict, Msg: fmt.Sprintf("%d certificates are not at %s as they should be", r.Failed, r.Target), Advice: "write them: certfleet targets prime " + r.Target + " --wait"}
	case r.Failed > 0:
		return &certfleet.Error{Kind: certfleet.Conflict, Msg: fmt.Sprintf("%d certificates could not be written to %s", r.Failed, r.Target), Advice: "look at the problem of each, and start it again"}
	}
	return nil
}
