package takeover

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/client"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/porter/petersslers"
)

// numbers are those of one kind of objects: what they were known by there.
type numbers struct {
	fresh []client.FormerNumber // of objects that the plan adds
	rest  []client.FormerNumber // of objects that may be here
}

// tables are where the original counts each kind.
var tables = map[string]string{"authority": "acme_server", "account": "acme_account", "factory": "enrollment_factory", "certificate": "renewal_configuration",
	"domain": "domain", "version": "x509_certificate", "key": "private_key", "chain": "x509_certificate_trust_chain", "delegation": "acme_dns_server_account"}

// mostNumber is the highest number that a manager keeps; no server ever counted so far.
const mostNumber = 500_000_000

// number notes by what number an object was known.
func (d *drawer) number(kind string, id int64, ref string, fresh bool) {
	n := d.numbers[kind]
	if n == nil {
		n = &numbers{}
		d.numbers[kind] = n
	}
	row := client.FormerNumber{Number: id, Ref: ref}
	switch {
	case id < 1 || id > mostNumber || ref == "":
	case fresh:
		n.fresh = append(n.fresh, row)
	default:
		n.rest = append(n.rest, row)
	}
}

func (d *drawer) numberHolder(h *holder, fresh bool) {
	if strings.HasPrefix(h.from, RenewalLabel+"=") {
		d.number("certificate", h.id, h.label, fresh)
	}
	for _, n := range h.names {
		d.names[n] = d.names[n] || fresh
	}
}

func (d *drawer) numberFound(c *found, fresh bool) {
	d.number("version", c.ID, pki.Fingerprint(c.leaf), fresh)
	d.number("key", c.KeyID, pki.SPKI(c.leaf.PublicKey), fresh)
	for _, id := range slices.Sorted(maps.Keys(c.chains)) {
		d.number("chain", id, c.chains[id], fresh)
	}
}

// numbersOf are the chains of a pair that can be read.
func numbersOf(p petersslers.Pair) map[int64]string {
	out := map[int64]string{}
	for i, text := range append([][]byte{p.ChainPEM}, p.Others...) {
		if chain, err := pki.ParseChain(text); err == nil && i < len(p.ChainIDs) && len(chain) > 1 {
			out[p.ChainIDs[i]] = pki.ContentID(pki.EncodeChain(chain[1:]))
		}
	}
	return out
}

// drawNumbers plans that what is known by a number there is known by it here.
func (d *drawer) drawNumbers(ctx context.Context) error {
	err := d.src.Domains(ctx, func(list []petersslers.Named) error {
		for _, x := range list {
			name, err := certfleet.ParseName(x.Name)
			if fresh, held := d.names[name]; err == nil && held {
				d.number("domain", x.ID, name.String(), fresh)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, kind := range slices.Sorted(maps.Keys(d.numbers)) {
		if err := d.drawKind(ctx, kind, d.numbers[kind]); err != nil {
			return err
		}
	}
	d.plan.reserve = d.reserve
	return nil
}

func (d *drawer) drawKind(ctx context.Context, kind string, n *numbers) error {
	there, err := d.keep(ctx, kind, n.rest, true)
	if err != nil {
		return err
	}
	i := Item{Noun: Number, Label: tables[kind], State: There}
	if there.Taken > 0 {
		i.Note = fmt.Sprintf("%d numbers stay with what had them in another database", there.Taken)
	}
	if add := len(n.fresh) + there.Kept; add > 0 {
		i.State, i.Reason = Add, fmt.Sprintf("%d numbers", add)
		i.act = func(ctx context.Context) error {
			_, err := d.keep(ctx, kind, slices.Concat(n.fresh, n.rest), false)
			return err
		}
	}
	if add := len(n.fresh) + len(n.rest); add > 0 {
		d.put(i)
	}
	return nil
}

// mostNumbers is how many numbers one request takes.
const mostNumbers = 1000

// keep has the manager keep numbers, or say what would be kept.
func (d *drawer) keep(ctx context.Context, kind string, rows []client.FormerNumber, dry bool) (sum client.FormerKept, err error) {
	for part := range slices.Chunk(rows, mostNumbers) {
		got, err := d.c.KeepFormer(ctx, client.FormerNumbers{Kind: kind, Numbers: part, DryRun: dry})
		if err != nil {
			return sum, err
		}
		sum.Kept, sum.There, sum.Missing, sum.Taken = sum.Kept+got.Kept, sum.There+got.There, sum.Missing+got.Missing, sum.Taken+got.Taken
	}
	return sum, nil
}

// reserve has what the plan adds get ids above all numbers there. Only who administers
// all tenants may; for others one with the id of a former number is known by another.
func (d *drawer) reserve(ctx context.Context) error {
	for _, kind := range slices.Sorted(maps.Keys(tables)) {
		if kind == "chain" || kind == "delegation" { // their ids follow from their content
			continue
		}
		highest, err := d.src.Highest(ctx, tables[kind])
		if err != nil {
			return err
		}
		if highest < 1 {
			continue
		}
		_, err = d.c.KeepFormer(ctx, client.FormerNumbers{Kind: kind, Highest: min(highest, mostNumber)})
		if certfleet.KindOf(err) == certfleet.Denied {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}
