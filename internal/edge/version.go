package edge

import (
	"context"
	"fmt"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
)

// Version opens one version by its id, whatever serves it, and puts that on
// record. NotFound means that the tenant has none such.
func (r *Room) Version(ctx context.Context, tenant int64, edge string, id int64) (*Pair, error) {
	r.setUp()
	v, err := r.DB.Version(ctx, id)
	if err != nil {
		return nil, err
	}
	if v.Tenant != tenant {
		return nil, &certfleet.Error{Kind: certfleet.NotFound, Msg: "no such version"}
	}
	if v.KeyID == 0 {
		return nil, &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf("the private key of version %d is not here", id), Advice: "look for it where the version was made"}
	}
	var name certfleet.Name
	if len(v.Names) > 0 {
		name = v.Names[0]
	}
	p, err := r.open(ctx, Asked{Tenant: tenant, Name: name}, store.Serving{Name: name, VersionID: id, KeyID: v.KeyID, NotAfter: v.NotAfter, Revoked: !v.RevokedAt.IsZero()}, time.Now())
	if err != nil {
		return nil, err
	}
	return p, r.record(ctx, edge, id)
}
