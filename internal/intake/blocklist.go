package intake

import (
	"context"
	"fmt"
	"strings"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/store"
)

// blockedRow checks an entry of the blocklist.
func (r Room) blockedRow(kind, pattern string) (*store.Blocked, error) {
	n, err := certfleet.ParseName(strings.TrimPrefix(strings.TrimPrefix(strings.TrimSpace(pattern), "*"), "."))
	b := &store.Blocked{Tenant: r.tenant(), Kind: kind}
	switch {
	case kind == "suffix" && err != nil && !strings.ContainsAny(pattern, " /:%"): // a top-level domain is no host name
		b.Pattern = strings.ToLower(strings.Trim(strings.TrimSpace(pattern), "*."))
	case err != nil:
		return nil, err
	case kind == "domain" && n.RegisteredDomain() != n.String():
		return nil, invalid("block "+n.RegisteredDomain()+", or the suffix "+n.String(), fmt.Sprintf("%s is no registered domain", n))
	default:
		b.Pattern = n.String()
	}
	if b.Pattern == "" {
		return nil, invalid("give a name", "an empty pattern would forbid everything")
	}
	return b, nil
}

// Block puts something on the blocklist. Certificates that want it already order
// nothing more.
func (r Room) Block(ctx context.Context, n api.Blocked) (*store.Blocked, error) {
	b, err := r.blockedRow(n.Kind, n.Pattern)
	if err != nil {
		return nil, err
	}
	b.Note = n.Note
	return b, r.write(ctx, func(tx *store.Tx) error { return tx.Block(ctx, b) })
}

// Unblock takes something from the blocklist.
func (r Room) Unblock(ctx context.Context, kind, pattern string) error {
	b, err := r.blockedRow(kind, pattern)
	if err != nil {
		return err
	}
	return r.write(ctx, func(tx *store.Tx) error { return tx.Unblock(ctx, *b) })
}

// allowed refuses names that are on the blocklist.
func (r Room) allowed(ctx context.Context, q store.Q, names []certfleet.Name) error {
	for _, n := range names {
		b, err := q.BlockedBy(ctx, r.tenant(), n)
		if err == nil {
			return Forbidden(n, b)
		}
		if !gone(err) {
			return err
		}
	}
	return nil
}

// Forbidden says that a name is on the blocklist.
func Forbidden(n certfleet.Name, b *store.Blocked) error {
	return invalid("leave it out, or take it off: certfleet blocklist remove "+b.Kind+" "+b.Pattern, fmt.Sprintf("%s is on the blocklist (%s %s)", n, b.Kind, b.Pattern))
}
