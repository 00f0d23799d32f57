package intake

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/store"
)

// maxSerials is how many serial numbers one replacement takes.
const maxSerials = 100_000

// ReplacementSpec checks what is to be replaced.
func ReplacementSpec(n api.NewReplacement) (certfleet.ReplacementSpec, error) {
	s := certfleet.ReplacementSpec{Issuer: n.Issuer, Profile: n.Profile, IssuedAfter: n.IssuedAfter, IssuedBefore: n.IssuedBefore, Labels: n.Labels, Revoke: n.Revoke, Reason: n.Reason, RevokeBy: n.RevokeBy}
	for _, serial := range n.Serials {
		h := strings.TrimLeft(strings.ToLower(strings.NewReplacer(":", "", " ", "").Replace(serial)), "0")
		if h == "" || strings.Trim(h, "0123456789abcdef") != "" {
			return s, invalid("write serial numbers in hex, as certfleet versions shows them", fmt.Sprintf("serial %q cannot be read", serial[:min(len(serial), 80)]))
		}
		s.Serials = append(s.Serials, h)
	}
	switch {
	case len(s.Serials) > maxSerials:
		return s, invalid("make several replacements", fmt.Sprintf("%d serials are too many for one", len(s.Serials)))
	case !s.Narrow():
		return s, invalid("name an issuer, a profile, serials, times or labels", "a replacement of everything is not asked for by mistake")
	case !s.IssuedAfter.IsZero() && !s.IssuedBefore.IsZero() && !s.IssuedAfter.Before(s.IssuedBefore):
		return s, invalid("give the earlier moment first; the later one is not included", "nothing was issued between a moment and an earlier one")
	case !s.RevokeBy.IsZero() && !s.Revoke:
		return s, invalid("add revoke, or leave revoke_by out", "a time by which all are revoked is given, and nothing is to be revoked")
	}
	return s, revokeBy(s.RevokeBy)
}

// soonest is how far ahead the time must be at which everything left is revoked:
// a time in the past would take a fleet down before the first order is out.
const soonest = time.Minute

func revokeBy(at time.Time) error {
	if !at.IsZero() && time.Until(at) < soonest {
		return invalid("choose a later time, or revoke single versions with certfleet revoke", fmt.Sprintf("%s is too soon: nothing can be replaced before", at.UTC().Format(time.RFC3339)))
	}
	return nil
}

// Replace begins a mass replacement; it goes on by itself.
func (r Room) Replace(ctx context.Context, s certfleet.ReplacementSpec) (*certfleet.Replacement, error) {
	p := &certfleet.Replacement{Tenant: r.tenant(), Spec: s}
	return p, r.write(ctx, func(tx *store.Tx) error { return r.begin(ctx, tx, p) })
}

func (r Room) begin(ctx context.Context, tx *store.Tx, p *certfleet.Replacement) error {
	if err := tx.AddReplacement(ctx, p); err != nil {
		return err
	}
	return tx.Event(ctx, certfleet.Event{Kind: "replacement.began", Tenant: p.Tenant, Msg: fmt.Sprintf("replacement %d began", p.ID)})
}

// Compromise notes that a key is known to others: it is never used again, every
// certificate with it gets another with a new key, and then what it signed for is
// revoked: each when its successor is there, and all at the moment by, if that is
// not zero.
func (r Room) Compromise(ctx context.Context, key *certfleet.Key, by time.Time) (*certfleet.Replacement, error) {
	if err := revokeBy(by); err != nil {
		return nil, err
	}
	if key.Use != "certificate" {
		return nil, invalid("give the account a new key: certfleet accounts rollover", fmt.Sprintf("key %d is an account's", key.ID))
	}
	p := &certfleet.Replacement{Tenant: r.tenant(), Spec: certfleet.ReplacementSpec{KeyID: key.ID, Revoke: true, Reason: 1, RevokeBy: by}}
	return p, r.write(ctx, func(tx *store.Tx) error {
		if err := tx.CompromiseKey(ctx, key.ID); err != nil {
			return err
		}
		if err := tx.Event(ctx, certfleet.Event{Kind: "key.compromised", Tenant: key.Tenant, Msg: fmt.Sprintf("key %d is compromised", key.ID)}); err != nil {
			return err
		}
		return r.begin(ctx, tx, p)
	})
}

// TurnReplacement aborts a replacement that runs, or lets one go on that was
// aborted. One that goes on looks once more at what it left aside and at what
// could not be revoked, so even one that is done may.
func (r Room) TurnReplacement(ctx context.Context, id int64, to certfleet.ReplacementState) (*certfleet.Replacement, error) {
	var p *certfleet.Replacement
	err := r.write(ctx, func(tx *store.Tx) (err error) {
		if p, err = tx.Replacement(ctx, id); err != nil || p.Tenant != r.tenant() {
			return orNo(err, "replacement")
		}
		var again int64
		if to == certfleet.ReplacementRunning {
			if again, err = tx.TakeUpItems(ctx, id); err != nil {
				return err
			}
		}
		if p.State == to && again == 0 {
			return nil
		}
		if p.State == certfleet.ReplacementDone && again == 0 || to == certfleet.ReplacementAborting && p.State == certfleet.ReplacementAborted {
			return conflict("begin another one", fmt.Sprintf("replacement %d is %s", id, p.State))
		}
		p.State, p.DueAt, p.FinishedAt = to, tx.Now(), time.Time{}
		tx.Wake()
		if err := tx.SaveReplacement(ctx, p); err != nil {
			return err
		}
		return tx.Event(ctx, certfleet.Event{Kind: "replacement." + string(to), Tenant: p.Tenant, Msg: fmt.Sprintf("replacement %d is %s", id, to)})
	})
	return p, err
}

func orNo(err error, what string) error {
	if err != nil && certfleet.KindOf(err) != certfleet.NotFound {
		return err
	}
	return &certfleet.Error{Kind: certfleet.NotFound, Msg: "no such " + what, Advice: "see certfleet replace --list"}
}
