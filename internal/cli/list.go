package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/certfleet/certfleet/client"
)

// limited is the flag of every list.
func limited(cmd *cobra.Command) *int {
	n := -1
	cmd.Flags().VarP((*howMany)(&n), "limit", "n", "how many at most, 0 for all (default 100 in a table, all with --json)")
	return &n
}

// filtered is the flag of every list whose objects carry labels, or belong to
// certificates that do.
func filtered(cmd *cobra.Command, label *[]string) {
	cmd.Flags().StringArrayVar(label, "label", nil, "only those that carry `KEY=VALUE`, or whose certificate does; may be given several times")
	cmd.PreRunE = func(*cobra.Command, []string) error {
		_, err := labelled(*label)
		return err
	}
}

func (p *program) listCommand() *cobra.Command {
	var q client.CertificateQuery
	var due, expires duration
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List certificates",
		Long: `List certificates, with how they stand and what comes next.

A state is active, paused, external (certbot renews it), parked (our stop),
removed, failing (the last order went wrong), due, none (nothing issued yet) or all.`,
		Example: `  certfleet list
  certfleet list --state failing
  certfleet list --expires-within 7d --label tenant=acme
  certfleet list --json | jq -r .label`,
		Args: none,
	}
	f := cmd.Flags()
	f.StringVar(&q.State, "state", "", "only those in this `STATE` (default all but removed)")
	f.Var(&due, "due-within", "only those whose next order opens within this time, such as 36h")
	f.Var(&expires, "expires-within", "only those that expire within this time, such as 7d")
	f.StringVar(&q.Issuer, "issuer", "", "only those whose issuer has `TEXT` in its name, such as R11 or \"let's encrypt\"")
	f.StringVar(&q.Profile, "profile", "", "only those with this `PROFILE` of the CA")
	filtered(cmd, &q.Label)
	f.StringVar(&q.Policy, "policy", "", "only those of the policy with this `LABEL`")
	f.StringVar(&q.Target, "target", "", "only those that go to the target with this `LABEL`")
	limit := limited(cmd)
	flagWords(cmd, "state", "active", "paused", "external", "parked", "removed", "failing", "due", "none", "all")
	cmd.RegisterFlagCompletionFunc("policy", p.offers(0, policyLabels))
	cmd.RegisterFlagCompletionFunc("target", p.offers(0, targetLabels))
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		q.DueWithin, q.ExpiresWithin = due.String(), expires.String()
		c, err := p.client(cmd.Context())
		if err != nil {
			return err
		}
		return list(p, c.Certificates(cmd.Context(), q), *limit, []string{"LABEL", "STATE", "NAMES", "EXPIRES", "NEXT", "TARGETS"}, p.certificateRow)
	}
	return cmd
}

func (p *program) certificateRow(c client.Certificate) []string {
	return []string{c.Label, stateOf(&c), few(c.Names, 2), p.day(c.NotAfter), p.next(&c), few(c.Targets, 2)}
}

// stateOf is the state, or what is more important to know.
func stateOf(c *client.Certificate) string {
	switch {
	case c.State == "active" && c.Failures > 0:
		return "failing"
	case c.State == "active" && c.VersionID == 0:
		return "wanted"
	case c.External != "":
		return "external"
	}
	return c.State
}

func (p *program) next(c *client.Certificate) string {
	switch {
	case c.External != "":
		return p.external(c)
	case c.State != "active":
		return "-"
	case c.DueAt.IsZero():
		return "order open"
	}
	return cut(strings.TrimSpace(relative(c.DueAt, p.now())+" "+parenthesis(c.DueReason)), 48)
}

// external says who renews a certificate in our place.
func (p *program) external(c *client.Certificate) string {
	return c.External + " renews it; last taken over at " + p.when(c.ExternalAt)
}

func parenthesis(s string) string {
	if s == "" {
		return ""
	}
	return "(" + s + ")"
}
