package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/client"
)

// shown is everything that show tells of a certificate.
type shown struct {
	client.Certificate
	Backup     *client.BackupState `json:"backup,omitempty"`
	Versions   []client.Version    `json:"versions"`
	Deliveries []client.Delivery   `json:"deliveries"`
	Orders     []client.Order      `json:"orders"`
	Keys       []client.Key        `json:"keys"`
}

func (p *program) showCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show LABEL...",
		Short: "Show a certificate with its versions, keys, orders and deliveries",
		Long: `Show everything that is recorded of a certificate: its newest versions with
their keys, where they were delivered, and the orders that got them. Private
keys are not opened for this.`,
		Example: "  certfleet show shop.example\n  certfleet show 17 --json",
		Args:    args(1, -1, "the label of a certificate"), ValidArgsFunction: p.certificateArg(0),
		RunE: func(cmd *cobra.Command, labels []string) error {
			return oneOrMore(labels, func(l string) error { return p.show(cmd.Context(), l) })
		},
	}
}

// recent is how much of a history show tells.
const recent = 10

func (p *program) show(ctx context.Context, label string) error {
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	cert, err := c.Certificate(ctx, label)
	if err != nil {
		return p.similar(ctx, err, label, certificateLabels)
	}
	s := shown{Certificate: *cert}
	page := client.Paging{Limit: recent}
	id := fmt.Sprint(cert.ID)
	versions, err := c.VersionsPage(ctx, client.VersionQuery{Paging: page, Certificate: id})
	if err != nil {
		return err
	}
	deliveries, err := c.DeliveriesPage(ctx, client.DeliveryQuery{Paging: page, Certificate: id})
	if err != nil {
		return err
	}
	orders, err := c.OrdersPage(ctx, client.OrderQuery{Paging: page, Certificate: id})
	if err != nil {
		return err
	}
	keys, err := c.KeysPage(ctx, client.KeyQuery{Certificate: id})
	if err != nil {
		return err
	}
	if s.Backup, err = c.BackupOf(ctx, id); err != nil && certfleet.KindOf(err) != certfleet.NotFound {
		return err
	}
	s.Versions, s.Deliveries, s.Orders, s.Keys = versions.Items, deliveries.Items, orders.Items, keys.Items
	return p.answered(s, func() { p.sayShown(&s) })
}

func (p *program) sayShown(s *shown) {
	c := &s.Certificate
	p.fields().add("certificate", fmt.Sprintf("%s (id %d)", c.Label, c.ID)).add("state", stateOf(c)).
		add("names", strings.Join(c.Names, "\n")).add("policy", c.Policy).add("targets", strings.Join(c.Targets, ", ")).
		add("labels", labelText(c.Labels)).add("expires", p.when(c.NotAfter)).add("next order", p.dueText(c)).
		add("problem", c.Problem).add("advice", c.Advice).add("failures", failures(c)).add("added", p.when(c.CreatedAt)).add("backup", p.backupText(s.Backup)).flush()
	if len(s.Versions) > 0 {
		p.title("Versions")
		p.versionTable(s.Versions, c.VersionID, s.Keys)
	}
	if len(s.Deliveries) > 0 {
		p.title("Deliveries")
		t := p.table(deliveryHeader...)
		for _, d := range s.Deliveries {
			t.row(p.deliveryRow(d)...)
		}
		t.flush()
	}
	if len(s.Orders) > 0 {
		p.title("Orders")
		t := p.table(orderHeader...)
		for _, o := range s.Orders {
			t.row(p.orderRow(o)...)
		}
		t.flush()
	}
}

func (p *program) backupText(b *client.BackupState) string {
	switch {
	case b == nil:
		return ""
	case b.Flipped:
		return fmt.Sprintf("version %d, served in place of the primary since %s", b.VersionID, p.when(b.FlippedAt))
	case b.VersionID != 0:
		return fmt.Sprintf("version %d, kept warm, expires %s", b.VersionID, p.when(b.NotAfter))
	}
	return strings.TrimSpace("none yet " + orElse(b.Problem, b.DueReason))
}

func failures(c *client.Certificate) string {
	if c.Failures == 0 {
		return ""
	}
	return fmt.Sprintf("%d in a row", c.Failures)
}

func (p *program) dueText(c *client.Certificate) string {
	if c.External != "" {
		return p.external(c)
	}
	if c.DueAt.IsZero() {
		return ""
	}
	return strings.TrimSpace(p.when(c.DueAt) + " " + c.DueReason)
}

func (p *program) versionTable(list []client.Version, current int64, keys []client.Key) {
	story := map[int64]string{}
	for _, k := range keys {
		story[k.ID] = keyStory(&k)
	}
	t := p.table("ID", "STATE", "SERIAL", "ISSUER", "FROM", "UNTIL", "KEY")
	for _, v := range list {
		t.row(fmt.Sprint(v.ID), p.versionState(&v, current), short(v.Serial), v.Issuer, p.day(v.NotBefore), p.day(v.NotAfter), dash(strings.TrimSpace(keyID(v.KeyID)+" "+story[v.KeyID])))
	}
	t.flush()
}

func keyID(id int64) string {
	if id == 0 {
		return "not here"
	}
	return fmt.Sprint(id)
}

func (p *program) versionState(v *client.Version, current int64) string {
	switch {
	case !v.RevokedAt.IsZero():
		return "revoked"
	case v.NotAfter.Before(p.now()):
		return "expired"
	case v.ID == current:
		return "in use"
	case v.ReplacedBy != 0:
		return "replaced"
	}
	return v.Origin
}
