package web

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/porter"
	"github.com/certfleet/certfleet/internal/store"
)

func (s *server) versionRoutes() {
	const tag, path = "versions", "/v1/versions"
	on(s, "GET", path, route{certfleet.ScopeRead, "list-versions", tag, "List versions, newest first", ""}, s.listVersions)
	on(s, "GET", path+"/{id}", route{certfleet.ScopeRead, "get-version", tag, "Read a version with its chains", "By id or fingerprint."}, s.getVersion)
	on(s, "POST", path+"/{id}/revoke", route{certfleet.ScopeIssue, "revoke-version", tag, "Revoke a version", "Its certificate is due at once. After a key compromise the key is never used again."}, s.revokeVersion)
	s.windowRoutes()
	on(s, "POST", path+"/{id}/export", route{certfleet.ScopeKey, "export-version", tag, "Export a version with its private key", "The opening of the key is put on record."}, s.exportVersion)
	on(s, "GET", "/v1/keys", route{certfleet.ScopeRead, "list-keys", "keys", "List keys: their public side", ""}, s.listKeys)
	on(s, "GET", "/v1/keys/{id}", route{certfleet.ScopeRead, "get-key", "keys", "Read a key's public side, who uses it and who opened it", "By id or SPKI."}, s.getKey)
}

func (s *server) listVersions(ctx context.Context, q *api.VersionQuery) (*page[api.Version], error) {
	f := store.VersionFilter{Tenant: tenant(ctx), KeyID: q.Key, Past: q.Past, Limit: q.Limit}
	if q.Unexpired {
		f.ValidAt = time.Now()
	}
	var err error
	if f.CertificateID, f.Labels, f.After, err = s.narrow(ctx, q.Certificate, q.Label, q.Cursor); err != nil {
		return nil, err
	}
	rows, next, err := s.DB.Versions(ctx, f)
	if err != nil {
		return nil, err
	}
	return paged(ctx, rows, next, api.OfVersion), nil
}

func (s *server) getVersion(ctx context.Context, in *ByID) (*out[api.VersionStory], error) {
	v, err := s.version(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	chains, err := s.DB.ChainsOf(ctx, v.ID)
	if err != nil {
		return nil, err
	}
	return answer(api.VersionStory{Version: api.OfVersion(v), ChainPEM: string(v.ChainPEM), Chains: api.All(chains, func(c *certfleet.Chain) api.Chain {
		return api.Chain{Position: c.Position, Issuer: c.Issuer, PEM: string(c.PEM)}
	})}), nil
}

func (s *server) revokeVersion(ctx context.Context, in *mayAskID[api.Revocation]) (*out[api.Version], error) {
	v, err := s.version(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if s.Acts.Revoke == nil {
		return nil, unable("revoking")
	}
	if err := s.Acts.Revoke(ctx, v.ID, in.given().Reason); err != nil {
		return nil, err
	}
	v, err = s.DB.Version(ctx, v.ID)
	if err != nil {
		return nil, err
	}
	return answer(api.OfVersion(v)), nil
}

// exportVersion opens a private key; that is on record before the key leaves.
func (s *server) exportVersion(ctx context.Context, in *mayAskID[api.ExportRequest]) (*out[api.Export], error) {
	v, err := s.version(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	pack, err := s.pack(ctx, v, in.given())
	if err != nil {
		return nil, err
	}
	defer pack.KeyPEM.Wipe()
	file, err := porter.Export(porter.Format(cmp.Or(in.given().Format, "pem")), pack)
	if err != nil {
		return nil, err
	}
	err = s.write(ctx, func(tx *store.Tx) error {
		if err := tx.KeyOpened(ctx, v.KeyID, "export"); err != nil {
			return err
		}
		return tx.Event(ctx, certfleet.Event{Kind: "key.exported", Tenant: v.Tenant, CertificateID: v.CertificateID, VersionID: v.ID, Msg: fmt.Sprintf("the private key of version %d left as %s", v.ID, file.Name)})
	})
	if err != nil {
		return nil, err
	}
	return answer(api.Export{File: file.Name, Media: file.Type, Data: file.Body}), nil
}

// pack gathers what is exported, with the key opened.
func (s *server) pack(ctx context.Context, v *certfleet.Version, r api.ExportRequest) (porter.Pack, error) {
	p := porter.Pack{Name: fmt.Sprintf("version-%d", v.ID), ChainPEM: v.ChainPEM, Password: certfleet.Secret(r.Password)}
	if v.KeyID == 0 {
		return p, &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf("the private key of version %d is not here", v.ID), Advice: "export it where the key is, or renew the certificate with a key of our own"}
	}
	if len(v.Names) > 0 {
		p.Name = v.Names[0].String()
	}
	if r.Chain > 0 {
		chains, err := s.DB.ChainsOf(ctx, v.ID)
		if err != nil {
			return p, err
		}
		if r.Chain >= len(chains) {
			return p, &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf("version %d has no chain %d", v.ID, r.Chain), Advice: "choose one of the chains that the version shows"}
		}
		p.ChainPEM = chains[r.Chain].PEM
	}
	k, err := s.DB.Key(ctx, v.KeyID)
	if err != nil {
		return p, err
	}
	p.KeyPEM, err = s.Keys.OpenPEM(ctx, k)
	return p, err
}

func (s *server) listKeys(ctx context.Context, q *api.KeyQuery) (*page[api.Key], error) {
	f := store.KeyFilter{Tenant: tenant(ctx), Use: q.Use, Limit: q.Limit}
	var err error
	if f.CertificateID, f.Labels, f.After, err = s.narrow(ctx, q.Certificate, q.Label, q.Cursor); err != nil {
		return nil, err
	}
	rows, next, err := s.DB.Keys(ctx, f)
	if err != nil {
		return nil, err
	}
	return paged(ctx, rows, next, api.OfKey), nil
}

func (s *server) getKey(ctx context.Context, in *ByID) (*out[api.Key], error) {
	k, err := s.key(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	versions, _, err := s.DB.Versions(ctx, store.VersionFilter{Tenant: tenant(ctx), KeyID: k.ID, Limit: 20})
	if err != nil {
		return nil, err
	}
	openings, err := s.DB.KeyOpenings(ctx, k.ID, 100)
	if err != nil {
		return nil, err
	}
	w := api.OfKey(k)
	for _, v := range versions {
		w.Versions = append(w.Versions, v.ID)
	}
	w.Openings = api.All(openings, func(o *store.KeyOpening) api.KeyOpening {
		return api.KeyOpening{Actor: o.Actor, Reason: o.Reason, Hour: o.Hour, N: o.N}
	})
	return answer(w), nil
}
