package takeover

import (
	"bytes"
	"cmp"
	"context"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/porter/petersslers"
)

// stock are the certificates that a database holds, by whom they are for.
type stock struct {
	renewals map[int64][]petersslers.Certificate // got by orders of a renewal configuration
	sets     map[int64][]petersslers.Certificate // all others, by their names
}

func (d *drawer) stocktake(ctx context.Context) error {
	d.stock = &stock{renewals: map[int64][]petersslers.Certificate{}, sets: map[int64][]petersslers.Certificate{}}
	from := d.now
	if d.opt.Expired {
		from = time.Unix(0, 0)
	}
	return d.src.Certificates(ctx, from, func(list []petersslers.Certificate) error {
		for _, c := range list {
			if c.RenewalID != 0 {
				d.stock.renewals[c.RenewalID] = append(d.stock.renewals[c.RenewalID], c)
			} else {
				d.stock.sets[c.SetID] = append(d.stock.sets[c.SetID], c)
			}
		}
		return nil
	})
}

// best is the order in which certificates are tried: valid ones, then active ones,
// then those that last longest.
func best(now string) func(a, b petersslers.Certificate) int {
	return func(a, b petersslers.Certificate) int {
		return cmp.Or(cmp.Compare(rank(a.NotAfter > now), rank(b.NotAfter > now)), cmp.Compare(rank(a.Active), rank(b.Active)), cmp.Compare(b.NotAfter, a.NotAfter), cmp.Compare(b.ID, a.ID))
	}
}

// found is a certificate that can be brought.
type found struct {
	petersslers.Certificate
	leaf   *x509.Certificate
	note   string
	chains map[int64]string // what follows from the content of each, by its number there
}

// mostTried bounds how many are looked at in place of one that is broken.
const mostTried = 5

// choose takes the best of some certificates that is whole and for these names, and
// notes each that is better and is not. It answers nil for none.
func (d *drawer) choose(ctx context.Context, noun string, list []petersslers.Certificate, names []certfleet.Name) (*found, error) {
	list = slices.SortedFunc(slices.Values(list), best(petersslers.Stamp(d.now)))
	for _, c := range list[:min(len(list), mostTried)] {
		got, bad, err := d.examine(ctx, c, names)
		if err != nil {
			return nil, err
		}
		if bad == nil {
			return got, nil
		}
		d.skip(noun, c.ID, fmt.Sprintf("x509_certificate %d", c.ID), bad.Error(), certfleet.AdviceOf(bad))
	}
	return nil, nil
}

// examine looks at a certificate and its key; bad says why it cannot be brought.
func (d *drawer) examine(ctx context.Context, c petersslers.Certificate, names []certfleet.Name) (f *found, bad, err error) {
	switch {
	case c.Revoked:
		return nil, fmt.Errorf("it is revoked"), nil
	case c.Compromised:
		return nil, fmt.Errorf("its key is compromised"), nil
	case c.KeyID == 0:
		return nil, fmt.Errorf("its key is not there"), nil
	}
	pair, err := d.src.Pair(ctx, c.ID)
	if err != nil {
		return nil, nil, err
	}
	defer pair.KeyPEM.Wipe()
	if len(pair.KeyPEM) == 0 {
		return nil, fmt.Errorf("its key is not there"), nil
	}
	chain, _, bad := pki.ParsePair(pair.ChainPEM, pair.KeyPEM)
	if bad != nil {
		return nil, bad, nil
	}
	leaf := chain[0]
	switch {
	case bytes.Equal(leaf.RawIssuer, leaf.RawSubject):
		return nil, fmt.Errorf("it signed itself"), nil
	case names != nil && certfleet.SetKey(pki.NamesOf(leaf)) != certfleet.SetKey(names):
		return nil, fmt.Errorf("it is for other names than its row says"), nil
	case len(pki.NamesOf(leaf)) == 0:
		return nil, fmt.Errorf("it is for no name that can be served"), nil
	}
	f = &found{Certificate: c, leaf: leaf, chains: numbersOf(pair)}
	if n := len(pair.Others) - len(whole(pair.Others)); n > 0 {
		f.note = fmt.Sprintf("%d of its other chains cannot be read, and stay behind", n)
	}
	return f, nil, nil
}

// whole are the chains that can be read.
func whole(chains [][]byte) (out []string) {
	for _, c := range chains {
		if _, err := pki.ParseChain(c); err == nil {
			out = append(out, string(c))
		}
	}
	return out
}
