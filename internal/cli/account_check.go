package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/client"
)

func (p *program) checkAccount() *cobra.Command {
	return &cobra.Command{
		Use: "check LABEL", Short: "Ask the CA how an account stands", Long: "Ask the CA whether it knows an account by its key, and how the account stands there.\nIt changes nothing.",
		Example: "  certfleet accounts check letsencrypt", Args: args(1, 1, "the label of an account"), ValidArgsFunction: p.offers(1, accountLabels),
		RunE: func(cmd *cobra.Command, words []string) error { return p.sayCheck(cmd.Context(), words[0]) },
	}
}

func (p *program) sayCheck(ctx context.Context, label string) error {
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	b := p.busy("asking the CA")
	got, err := c.CheckAccount(ctx, label)
	b.end()
	if err != nil {
		return p.similar(ctx, err, label, accountLabels)
	}
	if err := p.answered(got, func() { p.sayChecked(got) }); err != nil || got.Agrees {
		return err
	}
	return &certfleet.Error{Kind: certfleet.Conflict, Msg: fmt.Sprintf("the CA says that account %s is %s, at %s", got.Label, got.CAStatus, got.CAURL), Advice: "bring the account along anew: certfleet accounts import, or make another: certfleet accounts new"}
}

func (p *program) sayChecked(got *client.AccountCheck) {
	p.fields().add("account", got.Label).add("here", got.State).add("at the CA", got.CAStatus).add("url", got.CAURL).add("contact there", few(got.CAContact, 5)).flush()
}
