package intake

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/store"
)

// TargetRow checks a target, but for its settings, and answers the row that says so.
func TargetRow(t api.Target) (*certfleet.StoredTarget, error) {
	if err := checkObject(t.Label, t.Labels); err != nil {
		return nil, err
	}
	if t.Type == "" {
		return nil, invalid("give the type, such as files", fmt.Sprintf("target %q has no type", t.Label))
	}
	for _, p := range t.Probe {
		if err := checkAddress(p); err != nil {
			return nil, err
		}
	}
	proof := cmp.Or(certfleet.Proof(t.Proof), certfleet.ProofAll)
	if !slices.Contains([]certfleet.Proof{certfleet.ProofAll, certfleet.ProofSample, certfleet.ProofNone}, proof) {
		return nil, invalid("use one of all, sample, none", fmt.Sprintf("proof %q is not known", t.Proof))
	}
	pace, err := paceOf(t)
	if err != nil {
		return nil, err
	}
	spec, err := t.SpecJSON()
	return &certfleet.StoredTarget{Label: t.Label, Type: t.Type, Spec: spec, Probe: t.Probe, Proof: proof, Labels: t.Labels, Paused: t.Paused, Pace: pace}, err
}

func checkAddress(s string) error {
	host, port, err := net.SplitHostPort(s)
	n, bad := strconv.Atoi(port)
	if err != nil || bad != nil || host == "" || n < 1 || n > 65535 {
		return invalid("write it as host:port, such as 192.0.2.7:443 or [2001:db8::7]:443", fmt.Sprintf("probe address %q cannot be used", s[:min(len(s), 80)]))
	}
	return nil
}

// PutTarget makes a target, or changes the one with its label. Its type stays.
func (r Room) PutTarget(ctx context.Context, t api.Target, m Mode) (out *certfleet.StoredTarget, err error) {
	err = r.write(ctx, func(tx *store.Tx) error {
		out, _, err = r.putTarget(ctx, tx, t, m)
		return err
	})
	return out, err
}

func (r Room) putTarget(ctx context.Context, tx *store.Tx, t api.Target, m Mode) (*certfleet.StoredTarget, *api.Change, error) {
	row, err := TargetRow(t)
	if err != nil {
		return nil, nil, err
	}
	if r.CheckTarget != nil {
		if err := r.CheckTarget(row.Label, row.Type, row.Spec); err != nil {
			return nil, nil, err
		}
	}
	row.Tenant = r.tenant()
	is, err := tx.TargetByLabel(ctx, row.Tenant, row.Label)
	if gone(err) {
		return row, created("target", row.Label), r.noted(ctx, tx, "target.added", row.Label, tx.AddTarget(ctx, row))
	}
	if err != nil {
		return nil, nil, err
	}
	if is.Type != row.Type {
		return nil, nil, conflict("make another target and move the certificates over", fmt.Sprintf("target %q is of type %s, which stays", row.Label, is.Type))
	}
	ch, err := compare("target", row.Label, api.OfTarget(is), api.OfTarget(row), m)
	if err != nil || ch == nil {
		return is, ch, err
	}
	row.ID, row.Rev = is.ID, is.Rev
	tx.Wake()
	err = r.noted(ctx, tx, "target.changed", row.Label, tx.SaveTarget(ctx, row))
	if err == nil && is.Paused && !row.Paused {
		err = tx.Resume(ctx, row.ID)
	}
	return row, ch, err
}
