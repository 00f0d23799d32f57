package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/client"
)

func (p *program) tokensCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "tokens",
		Short: "Make, list and revoke tokens for the API",
		Long: `Tokens let people and programs use the API. Each carries scopes: read, issue,
deliver, edge, key, admin. Admin includes all but edge and key, which open
private keys. Without a subcommand it is the same as tokens list.`,
		Example: "  certfleet tokens new ci --scope issue\n  certfleet tokens revoke ci",
	}
	sub := &cobra.Command{Use: "list", Short: "List tokens, without their secrets", Long: "List tokens, when each was last used, and what it may do.", Example: "  certfleet tokens list --json", Args: none}
	limit := limited(sub)
	var label, subLabel []string
	filtered(cmd, &label)
	filtered(sub, &subLabel)
	sub.RunE = func(cmd *cobra.Command, _ []string) error { return p.listTokens(cmd.Context(), subLabel, *limit) }
	return p.group(cmd, func(cmd *cobra.Command) error { return p.listTokens(cmd.Context(), label, -1) }, sub, p.newToken(), p.revokeToken())
}

func (p *program) listTokens(ctx context.Context, label []string, limit int) error {
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	tokens, err := c.Tokens(ctx, label...)
	return list(p, values(tokens, err), limit, []string{"LABEL", "STATE", "SCOPES", "USED", "EXPIRES", "MADE"}, func(t client.Token) []string {
		return []string{t.Label, p.tokenState(&t), strings.Join(t.Scopes, ","), p.day(t.UsedAt), p.day(t.ExpiresAt), p.day(t.CreatedAt)}
	})
}

func (p *program) tokenState(t *client.Token) string {
	switch {
	case !t.RevokedAt.IsZero():
		return "revoked"
	case !t.ExpiresAt.IsZero() && t.ExpiresAt.Before(p.now()):
		return "expired"
	}
	return "active"
}

func (p *program) newToken() *cobra.Command {
	var n client.NewToken
	var labels []string
	var expires duration
	cmd := &cobra.Command{
		Use: "new LABEL", Short: "Make a token and print it, this once", Long: "Make a token and print it, alone on a line, this once: only its hash is kept. The\nlabel says who uses it, and stands on every event.",
		Example: "  certfleet tokens new ci --scope issue --expires 90d\n  certfleet tokens new deploy --scope key --scope read > /etc/certfleet/deploy.token\n  certfleet tokens new admin2 --scope admin --offline   when no other token is left",
		Args:    args(1, 1, "a label"),
		RunE: func(cmd *cobra.Command, words []string) (err error) {
			n.Label, n.ExpiresIn = words[0], expires.String()
			if n.Labels, err = labelled(labels); err != nil {
				return err
			}
			return p.makeToken(cmd.Context(), n)
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&n.Scopes, "scope", []string{"read"}, "what it may do; may be given several times")
	f.StringArrayVar(&labels, "label", nil, "your own `KEY=VALUE`; may be given several times")
	f.Var(&expires, "expires", "how long it is good for, such as 90d (default until it is revoked)")
	flagWords(cmd, "scope", "read", "issue", "deliver", "edge", "key", "admin")
	return cmd
}

func (p *program) makeToken(ctx context.Context, n client.NewToken) error {
	for _, s := range n.Scopes {
		if !knownScope(s) {
			return invalid("use read, issue, deliver, edge, key or admin", "scope %q is not known", s)
		}
	}
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	t, err := c.AddToken(ctx, n)
	if err != nil {
		return err
	}
	return p.answered(t, func() {
		p.note("token %s (%s); it is shown this once:", t.Label, strings.Join(t.Scopes, ", "))
		p.say("%s", t.Secret)
	})
}

func knownScope(s string) bool {
	for _, k := range certfleet.Scopes {
		if string(k) == s {
			return true
		}
	}
	return false
}

func (p *program) revokeToken() *cobra.Command {
	return &cobra.Command{
		Use: "revoke LABEL...", Short: "End a token", Long: "End a token at once. Requests that carry it are refused from now on.",
		Example: "  certfleet tokens revoke ci", Args: args(1, -1, "the label of a token"), ValidArgsFunction: p.offers(0, tokenLabels),
		RunE: func(cmd *cobra.Command, labels []string) error {
			return oneOrMore(labels, func(l string) error {
				c, err := p.client(cmd.Context())
				if err != nil {
					return err
				}
				t, err := c.RevokeToken(cmd.Context(), l)
				if err != nil {
					return p.similar(cmd.Context(), err, l, tokenLabels)
				}
				return p.answered(t, func() { p.say("token %s is revoked", t.Label) })
			})
		},
	}
}
