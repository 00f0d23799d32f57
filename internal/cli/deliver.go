package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/client"
)

func (p *program) deliverCommand() *cobra.Command {
	var r client.DeliverRequest
	var w waiting
	cmd := &cobra.Command{
		Use:   "deliver [NAME]",
		Short: "Bring a certificate to its targets again",
		Long: `Bring what did not arrive to its targets now: of one certificate, to one target,
or both. With --force also what is there already, which has services told once
more, and a version that a canary stopped has another try. With --wait it shows
how each delivery comes along until it is seen served.`,
		Example: "  certfleet deliver shop.example --wait\n  certfleet deliver --target edge1\n  certfleet deliver www.shop.example --target edge1 --force --wait --timeout 2m",
		Args:    args(0, 1, "a label or a host name"), ValidArgsFunction: p.certificateArg(1),
		RunE: func(cmd *cobra.Command, words []string) error {
			if len(words) > 0 {
				r.Name = words[0]
			}
			if r.Name == "" && r.Target == "" {
				return &usageError{invalid("name a certificate, or --target and a label", "it is not said what to deliver")}
			}
			if err := w.check(p); err != nil {
				return err
			}
			return p.deliver(cmd.Context(), r, w)
		},
	}
	f := cmd.Flags()
	f.StringVar(&r.Target, "target", "", "only to the target with this `LABEL`")
	f.BoolVar(&r.Force, "force", false, "also what is there already, and what a canary stopped")
	cmd.RegisterFlagCompletionFunc("target", p.offers(0, targetLabels))
	w.flags(cmd)
	return cmd
}

func (p *program) deliver(ctx context.Context, r client.DeliverRequest, w waiting) error {
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	got, err := c.Deliver(ctx, r)
	if err != nil {
		return p.notDelivered(ctx, c, r, err)
	}
	if !w.on {
		return p.answered(got, func() { p.say("%s due now", counted(got.Due)) })
	}
	q := client.DeliveryQuery{Target: r.Target}
	if got.CertificateID != 0 {
		q.Certificate = fmt.Sprint(got.CertificateID)
	}
	return p.watch(ctx, c, q, time.Duration(w.max.d))
}

// notDelivered says what was meant perhaps: the certificate or the target.
func (p *program) notDelivered(ctx context.Context, c *client.Client, r client.DeliverRequest, err error) error {
	if r.Target != "" && certfleet.KindOf(err) == certfleet.NotFound {
		if _, missing := c.Target(ctx, r.Target); certfleet.KindOf(missing) == certfleet.NotFound {
			return p.similar(ctx, missing, r.Target, targetLabels)
		}
	}
	return p.similar(ctx, err, r.Name, certificateLabels)
}

func counted(n int) string {
	if n == 1 {
		return "1 delivery is"
	}
	return fmt.Sprintf("%d deliveries are", n)
}

// watch shows how deliveries come along, until each has arrived or needs somebody.
func (p *program) watch(ctx context.Context, c *client.Client, q client.DeliveryQuery, most time.Duration) error {
	ctx, cancel := bounded(ctx, most)
	defer cancel()
	view := &deliveryView{p: p, said: map[int64]string{}, screen: drawable(p.Out)}
	var list []client.Delivery
	for {
		now, err := underWay(ctx, c, q)
		if err == nil {
			list = now
			view.show(list)
			if !slices.ContainsFunc(list, moving) {
				return view.end(list)
			}
			err = rest(ctx, look)
		}
		if errors.Is(err, context.DeadlineExceeded) {
			return view.late(list, most)
		}
		if err != nil {
			return err
		}
	}
}

func rest(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// underWay are the deliveries that count: what was superseded does not.
func underWay(ctx context.Context, c *client.Client, q client.DeliveryQuery) (list []client.Delivery, err error) {
	for d, err := range c.Deliveries(ctx, q) {
		if err != nil {
			return nil, err
		}
		if d.State != "superseded" {
			list = append(list, d)
		}
	}
	slices.SortFunc(list, func(a, b client.Delivery) int {
		return strings.Compare(a.Certificate+"\x00"+a.Target, b.Certificate+"\x00"+b.Target)
	})
	return list, nil
}

// moving reports whether something more is to come of a delivery by itself, and soon.
func moving(d client.Delivery) bool {
	switch d.State {
	case "served", "failed":
		return false
	case "due":
		return !d.Held || d.Advice == ""
	}
	return !d.DueAt.IsZero()
}

// deliveryView is the progress of deliveries: on a terminal a table that is drawn
// over, else a line for each change.
type deliveryView struct {
	p      *program
	said   map[int64]string
	screen bool // lines may be drawn over
	drawn  int  // lines of the table on the terminal
}

// mostDrawn is how many rows of a long list are drawn on a terminal: with header
// and last line they fit the usual 24, beyond which nothing is drawn over.
const mostDrawn = 20

func (v *deliveryView) show(list []client.Delivery) {
	switch {
	case v.p.flags.json:
	case v.screen:
		v.draw(list)
	default:
		v.tell(list)
	}
}

func (v *deliveryView) tell(list []client.Delivery) {
	for _, d := range list {
		line := fmt.Sprintf("%s to %s: version %d is %s", d.Certificate, d.Target, d.VersionID, stage(d))
		if d.Problem != "" {
			line += ": " + cut(d.Problem, 120)
		}
		if v.said[d.ID] != line {
			v.said[d.ID] = line
			v.p.say("%s", line)
		}
	}
}

func (v *deliveryView) draw(list []client.Delivery) {
	if v.drawn > 0 {
		fmt.Fprintf(v.p.Out, "\x1b[%dA\x1b[J", v.drawn)
	}
	fmt.Fprint(v.p.Out, "\x1b[?7l") // a line that is too long is cut, not continued
	defer fmt.Fprint(v.p.Out, "\x1b[?7h")
	t := v.p.table("CERTIFICATE", "TARGET", "VERSION", "STATE", "PROBLEM")
	for _, d := range list[:min(len(list), mostDrawn)] {
		t.row(d.Certificate, d.Target, fmt.Sprint(d.VersionID), stage(d), cut(d.Problem, 60))
	}
	t.flush()
	v.drawn = 1 + min(len(list), mostDrawn)
	if more := len(list) - mostDrawn; more > 0 {
		v.p.say("and %d more", more)
		v.drawn++
	}
}

// stage is the state in a word for people: held back is due, but not now.
func stage(d client.Delivery) string {
	if d.Held {
		return "waiting"
	}
	return d.State
}

// end says what needs somebody.
func (v *deliveryView) end(list []client.Delivery) error {
	if v.p.flags.json {
		if err := v.p.eachJSON(list); err != nil {
			return err
		}
	}
	for _, d := range list {
		if d.State == "failed" || d.Held {
			return &certfleet.Error{Msg: fmt.Sprintf("%s is not at %s: %s", d.Certificate, d.Target, d.Problem), Advice: d.Advice, Retry: d.DueAt}
		}
	}
	if len(list) == 0 {
		return &certfleet.Error{Kind: certfleet.NotFound, Msg: "there is nothing to deliver", Advice: "give the certificate a target, or wait until it is issued"}
	}
	return nil
}

// late says what kept deliveries from being served in time, as far as it is known.
func (v *deliveryView) late(list []client.Delivery, most time.Duration) error {
	if v.p.flags.json {
		if err := v.p.eachJSON(list); err != nil {
			return err
		}
	}
	e := &certfleet.Error{Kind: certfleet.Limited, Msg: fmt.Sprintf("not everything was served within %s", span(most)), Advice: "see certfleet deliveries --state open; the work goes on without anybody waiting"}
	i := slices.IndexFunc(list, func(d client.Delivery) bool { return moving(d) && d.Problem != "" })
	if i >= 0 {
		d := list[i]
		e.Msg += fmt.Sprintf("; %s to %s: %s", d.Certificate, d.Target, d.Problem)
		e.Advice = orElse(d.Advice, e.Advice)
	}
	return e
}

func (p *program) eachJSON(all []client.Delivery) error {
	for _, d := range all {
		if err := p.json(d); err != nil {
			return err
		}
	}
	return nil
}
