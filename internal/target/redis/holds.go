package redis

import (
	"context"
	"fmt"
	"slices"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/pki"
	goredis "github.com/redis/go-redis/v9"
)

// Holds answers the fingerprint of the pair that every name of the certificate
// has, as an edge would read it; empty when there is none, and an error when a
// name has none or key and chain do not fit. Names that a newer certificate took
// over are left out.
func (t *Target) Holds(ctx context.Context, certificate string, _ certfleet.Receipt) (string, error) {
	db, err := t.open(ctx)
	if err != nil {
		return "", err
	}
	defer db.Close()
	return t.holds(ctx, db, certificate)
}

func (t *Target) holds(ctx context.Context, db reads, certificate string) (string, error) {
	rec, err := t.record(ctx, db, certificate)
	if err != nil || rec == nil {
		return "", t.explain(err)
	}
	held := ""
	seen := map[string]string{} // pair as stored -> fingerprint, so that a set is parsed once
	for _, item := range lines(rec["items"]) {
		pair, err := t.read(ctx, db, item, certificate)
		if err != nil {
			return "", err
		}
		if pair == nil {
			continue
		}
		fp, ok := seen[pair.chain+pair.key]
		if !ok {
			certs, _, err := pki.ParsePair([]byte(pair.chain), certfleet.Secret(pair.key))
			if err != nil {
				return "", fmt.Errorf("%s in Redis: %w", item, err)
			}
			fp = pki.Fingerprint(certs[0])
			seen[pair.chain+pair.key] = fp
		}
		if held != "" && held != fp {
			return "", fmt.Errorf("the names of %s hold different versions in Redis", certificate)
		}
		held = fp
	}
	return held, nil
}

// stored is a pair as an edge reads it.
type stored struct{ chain, key string }

// read follows one item to its pair; nil when it is another certificate's now.
func (t *Target) read(ctx context.Context, db reads, item, label string) (*stored, error) {
	key, pair := splitItem(item)
	owner, err := db.HGet(ctx, t.ownerKey(key), "o"+pair).Result()
	if err == nil && owner != label {
		return nil, nil
	}
	var s *stored
	switch {
	case err == goredis.Nil:
	case err != nil:
		return nil, t.explain(err)
	case t.Layout == 1:
		s, err = t.read1(ctx, db, key)
	case t.Layout == 2:
		s, err = t.fields(ctx, db, key, "f", "p")
	case t.Layout == 3:
		s, err = t.read3(ctx, db, key, pair)
	}
	if err == nil && s != nil {
		return s, nil
	}
	if err == nil || err == goredis.Nil {
		err = &certfleet.Error{Kind: certfleet.NotFound, Msg: fmt.Sprintf("%s is not whole in Redis", key), Advice: "deliver it again, or prime the target"}
	}
	return nil, t.explain(err)
}

func (t *Target) fields(ctx context.Context, db reads, key string, names ...string) (*stored, error) {
	v, err := db.HMGet(ctx, key, names...).Result()
	if err != nil || slices.Contains(v, nil) {
		return nil, err
	}
	return &stored{chain: fmt.Sprint(v[0]), key: fmt.Sprint(v[1])}, nil
}

func (t *Target) read1(ctx context.Context, db reads, key string) (*stored, error) {
	ids, err := db.HMGet(ctx, key, "c", "p", "i").Result()
	if err != nil || slices.Contains(ids, nil) {
		return nil, err
	}
	var v [3]string
	for i, kind := range []string{"c:", "p:", "i:"} {
		if v[i], err = db.Get(ctx, t.Prefix+kind+fmt.Sprint(ids[i])).Result(); err != nil {
			return nil, err
		}
	}
	return &stored{chain: v[0] + "\n" + v[2], key: v[1]}, nil
}

func (t *Target) read3(ctx context.Context, db reads, key, pair string) (*stored, error) {
	s, err := t.fields(ctx, db, key, "f"+pair, "k"+pair)
	if err != nil || s == nil {
		return nil, err
	}
	sealed, err := db.Get(ctx, t.Prefix+"k3:"+s.key).Result()
	if err != nil {
		return nil, err
	}
	plain, err := t.seal.open(s.key, sealed)
	s.key = string(plain)
	return s, err
}
