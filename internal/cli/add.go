package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/client"
)

func (p *program) addCommand() *cobra.Command {
	var n client.NewCertificate
	var labels []string
	var wait waiting
	cmd := &cobra.Command{
		Use:   "add NAME...",
		Short: "Ask for a certificate",
		Long: `Ask for one certificate for all of the names. Names are host names, wildcards
or IP addresses. From now on it is kept valid, and brought to its targets.

Asking again for the same is harmless.`,
		Example: `  certfleet add shop.example www.shop.example
  certfleet add '*.apps.example' --challenge dns-01 --solver office --target edges --wait
  certfleet add blog.example --policy short-lived --label tenant=acme
  certfleet add 192.0.2.10 --policy short-lived --offline`,
		Args: args(1, -1, "the names of the certificate"),
		RunE: func(cmd *cobra.Command, names []string) error {
			parsed, err := certfleet.ParseNames(names)
			if err != nil {
				return err
			}
			n.Names = certfleet.Strings(parsed)
			if n.Labels, err = labelled(labels); err != nil {
				return err
			}
			return p.add(cmd.Context(), n, wait)
		},
	}
	f := cmd.Flags()
	f.StringVar(&n.Label, "as", "", "call it `LABEL` (default its first name)")
	f.StringVar(&n.Policy, "policy", "", "how it is got, by the `LABEL` of a policy (default \"default\")")
	f.StringSliceVar(&n.Targets, "target", nil, "bring it to the target with this `LABEL`; may be given several times")
	f.StringArrayVar(&labels, "label", nil, "your own `KEY=VALUE`; may be given several times")
	f.StringVar(&n.Challenge, "challenge", "", "prove the names by `TYPE`: http-01, dns-01 or tls-alpn-01 (default as the policy says)")
	f.StringVar(&n.Solver, "solver", "", "the `LABEL` of the solver, with --challenge dns-01")
	f.StringVar(&n.Lane, "lane", "", "how urgent it is: emergency, waiting, new or backfill")
	f.BoolVar(&n.Paused, "paused", false, "only note it; nothing is ordered until it is resumed")
	f.BoolVar(&n.Manual, "manual", false, "open an order that advances by request only, see certfleet orders step")
	f.BoolVar(&n.Update, "update", false, "change the certificate that has this label already")
	wait.flags(cmd)
	flagWords(cmd, "challenge", "http-01", "dns-01", "tls-alpn-01")
	flagWords(cmd, "lane", "emergency", "waiting", "new", "backfill")
	cmd.RegisterFlagCompletionFunc("policy", p.offers(0, policyLabels))
	cmd.RegisterFlagCompletionFunc("target", p.offers(0, targetLabels))
	return cmd
}

func (p *program) add(ctx context.Context, n client.NewCertificate, wait waiting) error {
	if err := wait.check(p); err != nil {
		return err
	}
	if wait.on && n.Lane == "" {
		n.Lane = "waiting"
	}
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	got, err := c.AddCertificate(ctx, n)
	if err != nil {
		return err
	}
	if !wait.on {
		return p.answered(got, func() { p.sayAdded(got) })
	}
	if !p.flags.json {
		p.sayAdded(got)
	}
	return p.wait(ctx, c, got, 0, wait)
}

func (p *program) sayAdded(got *client.CertificateAnswer) {
	switch {
	case got.Created:
		p.say("added %s for %s", got.Label, few(got.Names, 4))
	case got.Changed:
		p.say("changed %s", got.Label)
	default:
		p.say("%s is there already, as asked for", got.Label)
	}
	p.sayOverlaps(got)
	p.sayNext(got)
}

func (p *program) sayOverlaps(got *client.CertificateAnswer) {
	for _, o := range got.Overlaps {
		p.note("note: %s is on certificate %s too (as %s)", o.Name, o.Certificate, o.By)
	}
}

// sayNext says what happens next by itself.
func (p *program) sayNext(got *client.CertificateAnswer) {
	switch {
	case got.State == "paused":
		p.say("nothing is ordered until: certfleet resume %s", got.Label)
	case got.OrderID != 0:
		p.say("order %d is on its way; see certfleet why %s", got.OrderID, got.Label)
	case p.flags.offline && !got.DueAt.IsZero():
		p.say("certfleet run --once, or a running manager, goes on with it")
	case !got.DueAt.IsZero():
		p.say("the next order opens %s; see certfleet why %s", relative(got.DueAt, p.now()), got.Label)
	}
}

// answered writes what came back: as JSON, or in words.
func (p *program) answered(v any, words func()) error {
	if p.flags.json {
		return p.json(v)
	}
	words()
	return nil
}

// oneOrMore runs do for each word; one that goes wrong does not stop the others.
func oneOrMore(list []string, do func(string) error) error {
	var all []error
	for _, s := range list {
		if err := do(s); err != nil {
			all = append(all, err)
		}
	}
	return joined(all)
}

func joined(all []error) error {
	switch len(all) {
	case 0:
		return nil
	case 1:
		return all[0]
	}
	return several(all)
}

// several are errors of several objects; the first decides the exit code.
type several []error

// Error is all of them.
func (s several) Error() string {
	var out []string
	for _, e := range s {
		out = append(out, e.Error())
	}
	return strings.Join(out, "\n")
}

// Unwrap gives each.
func (s several) Unwrap() []error { return s }
