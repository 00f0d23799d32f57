package dnsq

import (
	"context"
	"errors"
	"fmt"

	"github.com/miekg/dns"
)

// CAA is one record that says who may issue (RFC 8659 section 4).
type CAA struct {
	Critical bool
	Tag      string // issue, issuewild, iodef, as written
	Value    string
}

// CAASet is the set of records that governs a name.
type CAASet struct {
	At      string // where it was found, with a trailing dot; empty when anyone may issue
	Records []CAA
}

// CAA climbs from name to the root until a name has CAA records (RFC 8659
// section 3). An error means that nobody can tell, which a CA takes for a no.
func (r *Resolver) CAA(ctx context.Context, name string) (CAASet, error) {
	name = dns.CanonicalName(name)
	for off, end := 0, false; !end; off, end = dns.NextLabel(name, off) {
		in, err := r.recurse(ctx, name[off:], dns.TypeCAA)
		if errors.Is(err, ErrNotExist) {
			continue
		}
		if err != nil {
			return CAASet{}, fmt.Errorf("find the CAA records of %s: %w", name, err)
		}
		if records := caaIn(in); len(records) > 0 {
			return CAASet{At: name[off:], Records: records}, nil
		}
	}
	return CAASet{}, nil
}

func caaIn(in *dns.Msg) []CAA {
	var out []CAA
	for _, rr := range in.Answer {
		if c, ok := rr.(*dns.CAA); ok {
			out = append(out, CAA{Critical: c.Flag&128 != 0, Tag: c.Tag, Value: c.Value})
		}
	}
	return out
}
