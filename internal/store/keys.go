package store

import (
	"context"
	"time"

	"github.com/certfleet/certfleet"
)

// DataKeyRow is a wrapped data key, under which keys are sealed.
type DataKeyRow struct {
	ID        int64
	KeeperID  string
	Wrapped   []byte
	CreatedAt time.Time
}

var dataKeys = table[DataKeyRow]{"data_key", "data key", func(d *DataKeyRow) []field {
	return []field{{"id", &d.ID}, {"keeper_id", &d.KeeperID}, {"wrapped", &d.Wrapped}, {"created_at", ms(&d.CreatedAt)}}
}}

var keys = table[certfleet.Key]{"key", "key", func(k *certfleet.Key) []field {
	return []field{
		{"id", &k.ID}, {"tenant_id", &k.Tenant}, {"kind", &k.Use}, {"type", &k.Type}, {"spki", &k.SPKI}, {"custody", &k.Custody},
		{"origin", &k.Origin}, {"order_id", ref(&k.OrderID)}, {"replaces_key_id", ref(&k.ReplacesKeyID)}, {"sealed", &k.Sealed},
		{"compromised_at", ms(&k.CompromisedAt)}, {"created_at", ms(&k.CreatedAt)},
	}
}}

// DataKeys lists all wrapped data keys, oldest first.
func (q Q) DataKeys(ctx context.Context) ([]DataKeyRow, error) {
	return dataKeys.list(ctx, q, "ORDER BY id")
}

// AddDataKey stores a wrapped data key, unless one exists already and first is
// set: then it answers Conflict, and the caller reads the one that is there.
func (t *Tx) AddDataKey(ctx context.Context, d *DataKeyRow, first bool) error {
	if first {
		if n, err := t.number(ctx, "SELECT count(*) FROM data_key"); err != nil || n > 0 {
			return orErr(err, ErrStale)
		}
	}
	d.CreatedAt = t.now
	return dataKeys.insert(ctx, t, d)
}

// RewrapDataKey writes a data key that another sealing key wraps now.
func (t *Tx) RewrapDataKey(ctx context.Context, id int64, from, to string, wrapped []byte) error {
	return t.changeOne(ctx, "UPDATE data_key SET keeper_id = $1, wrapped = $2 WHERE id = $3 AND keeper_id = $4", to, wrapped, id, from)
}

func orErr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// AddKey stores a sealed key.
func (t *Tx) AddKey(ctx context.Context, k *certfleet.Key) error {
	if k.CreatedAt.IsZero() {
		k.CreatedAt = t.now
	}
	if k.Custody == "" {
		k.Custody = certfleet.CustodyCentral
	}
	return keys.insert(ctx, t, k)
}

// Key reads one key's row, sealed.
func (q Q) Key(ctx context.Context, id int64) (*certfleet.Key, error) {
	return keys.one(ctx, q, "WHERE id = $1", id)
}

// KeyBySPKI reads the key with that public part.
func (q Q) KeyBySPKI(ctx context.Context, tenant int64, spki string) (*certfleet.Key, error) {
	return keys.one(ctx, q, "WHERE tenant_id = $1 AND spki = $2", orDefault(tenant), spki)
}

// KeyFilter narrows a list of keys.
type KeyFilter struct {
	Tenant        int64
	Use           string
	CertificateID int64
	Labels        certfleet.Labels // of the certificates
	After         Cursor
	Limit         int
}

// Keys lists one page by id.
func (q Q) Keys(ctx context.Context, f KeyFilter) ([]certfleet.Key, Cursor, error) {
	by, err := q.carriersOf(ctx, f.Labels, listed{"key", f.Tenant, f.After, false})
	if err != nil {
		return nil, Cursor{}, err
	}
	w := where{pg: q.pg}
	w.tenant("key", f.Tenant, f.CertificateID != 0 || by.few)
	w.carriedBy(by, "key.id", "key.id IN (SELECT key_id FROM version WHERE certificate_id IN (%s))", "EXISTS (SELECT 1 FROM version v WHERE v.key_id = key.id AND %s)", "v.certificate_id")
	if f.Use != "" {
		w.add("key.kind = ?", f.Use)
	}
	if f.CertificateID != 0 {
		w.add("key.id IN (SELECT key_id FROM version WHERE certificate_id = ?)", f.CertificateID)
	}
	w.after("", "key.id", f.After)
	list, err := keys.list(ctx, q, w.sql()+" ORDER BY "+w.sorted("key.id", by)+w.limit(f.Limit), w.args...)
	return list, by.after(next(list, f.Limit, func(k *certfleet.Key) Cursor { return Cursor{0, k.ID} })), err
}

// KeyOpened puts on record that a certificate's private key was opened: one row a
// key, opener, reason and hour.
func (t *Tx) KeyOpened(ctx context.Context, keyID int64, reason string) error {
	hour := t.now.Truncate(time.Hour).UnixMilli()
	return t.later(ctx, `INSERT INTO key_opening (key_id, actor, reason, hour, n) VALUES ($1, $2, $3, $4, 1)
		ON CONFLICT (key_id, hour, actor, reason) DO UPDATE SET n = key_opening.n + 1`, keyID, t.actor, reason, hour)
}

// KeyOpening is how often somebody opened a key in one hour, and why.
type KeyOpening struct {
	KeyID  int64
	Actor  string
	Reason string
	Hour   time.Time
	N      int64
}

// KeyOpenings lists a key's openings, newest first.
func (q Q) KeyOpenings(ctx context.Context, keyID int64, limit int) ([]KeyOpening, error) {
	return keyOpenings.list(ctx, q, "WHERE key_id = $1 ORDER BY hour DESC, actor LIMIT $2", keyID, page(limit))
}

var keyOpenings = table[KeyOpening]{"key_opening", "key opening", func(k *KeyOpening) []field {
	return []field{{"key_id", &k.KeyID}, {"actor", &k.Actor}, {"reason", &k.Reason}, {"hour", ms(&k.Hour)}, {"n", &k.N}}
}}

// CompromiseKey notes that a key must no longer be used.
func (t *Tx) CompromiseKey(ctx context.Context, id int64) error {
	return t.changeOne(ctx, "UPDATE key SET compromised_at = $1 WHERE id = $2", t.now.UnixMilli(), id)
}
