package web

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
)

// remembered does something once for each Idempotency-Key and answers repeats
// from memory, and those that come while it is being done from what comes of it.
// Only a hash of the request is kept. T must hold no secret.
func remembered[B, T any](ctx context.Context, s *server, op string, in *makeOne[B], do func() (T, error)) (*out[T], error) {
	if in.Key == "" {
		v, err := do()
		return &out[T]{v}, err
	}
	b, err := json.Marshal(in.Body)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(append([]byte(op+"\n"), b...))
	request := hex.EncodeToString(sum[:])
	v, err, _ := s.repeats.Do(fmt.Sprint(tenant(ctx), " ", request, " ", keyOf(ctx, in.Key)), func() (any, error) {
		return onceFor(ctx, s, in.Key, request, do)
	})
	if err != nil {
		return nil, err
	}
	return &out[T]{v.(T)}, nil
}

// onceFor does it unless the key is known.
func onceFor[T any](ctx context.Context, s *server, key, request string, do func() (T, error)) (v T, err error) {
	was, response, found, err := s.DB.Remembered(ctx, tenant(ctx), keyOf(ctx, key))
	switch {
	case err != nil:
		return v, err
	case found && was != request:
		return v, &certfleet.Error{Kind: certfleet.Conflict, Msg: "this Idempotency-Key was used for another request", Advice: "use a new key for every request that is not a repeat"}
	case found:
		return v, into(response, &v)
	}
	if v, err = do(); err != nil {
		return v, err
	}
	return v, s.remember(ctx, key, request, v)
}

// keyOf is a key as only its token can give it: two callers that chose the same
// one know nothing of each other.
func keyOf(ctx context.Context, key string) string {
	var id int64
	if t := who(ctx); t != nil {
		id = t.ID
	}
	return fmt.Sprintf("%d:%s", id, key)
}

func into(response string, v any) error { return json.Unmarshal([]byte(response), v) }

// remember keeps the answer. Of two equal requests at two nodes at a time one may
// come too late to be kept; it did the same.
func (s *server) remember(ctx context.Context, key, request string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	err = s.write(ctx, func(tx *store.Tx) error { return tx.Remember(ctx, tenant(ctx), keyOf(ctx, key), request, string(b)) })
	if certfleet.KindOf(err) == certfleet.Conflict {
		return nil
	}
	return err
}
