package issue

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/preflight"
	"github.com/certfleet/certfleet/internal/store"
)

// Curable reports whether a failure with these words may not meet the other
// challenge type: nobody, or somebody else, answered at the address, or the TXT
// record was not to be had. A limit, a CA that is away, CAA or a zone that does not
// answer at all meet any.
func Curable(typ, text string) bool {
	low := strings.ToLower(text)
	switch Classify(typ, text, nil) {
	case preflight.PortClosed, preflight.WrongAnswer, preflight.Elsewhere:
		return true
	case preflight.DNS:
		return strings.Contains(low, "txt") || strings.Contains(low, "_acme-challenge")
	case preflight.CADown:
		return strings.Contains(low, "present "+string(certfleet.DNS01)) // the zone's provider does not answer
	}
	return false
}

// otherTurn reports whether it is the turn of a name's second challenge type: it
// changes with every failure of the name's own that the other may be spared.
func (r *Room) otherTurn(ctx context.Context, j *job, n certfleet.Name) (bool, error) {
	list, _, err := r.DB.Orders(ctx, store.OrderFilter{Tenant: j.cert.Tenant, CertificateID: j.cert.ID, Limit: parkMemory})
	other, row := false, 0
	for _, o := range list {
		if (o.Slot == certfleet.SlotBackup) != (j.order.Slot == certfleet.SlotBackup) || o.Live() {
			continue
		}
		if row++; o.State == certfleet.OrderIssued || row > j.cert.Failures {
			break
		}
		if concerns(&o, n) && Curable(o.ProblemType, o.Problem) {
			other = !other
		}
	}
	return other, err
}

// hostWords are what host names are made of.
var hostWords = regexp.MustCompile(`[a-z0-9_.*-]+`)

// concerns reports whether an order failed for a name's sake: the name it begins
// with, else one that it mentions.
func concerns(o *certfleet.Order, n certfleet.Name) bool {
	if len(o.Names) < 2 {
		return true
	}
	first, _, _ := strings.Cut(o.Problem, ": ")
	if f, err := certfleet.ParseName(first); err == nil {
		return f.Base() == n.Base()
	}
	return slices.ContainsFunc(hostWords.FindAllString(strings.ToLower(o.Problem), -1), func(w string) bool {
		return strings.TrimPrefix(strings.TrimSuffix(w, "."), "_acme-challenge.") == n.Base()
	})
}
