package redis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/dial"
	goredis "github.com/redis/go-redis/v9"
)

// Target writes certificates into one Redis.
type Target struct {
	settled
	log *slog.Logger
}

// quiet keeps the client library from logging by itself: its errors come back to us.
type quiet struct{}

// Printf says nothing.
func (quiet) Printf(context.Context, string, ...any) {}

var silence = sync.OnceFunc(func() { goredis.SetLogger(quiet{}) })

// New checks the configuration; it dials nothing.
func New(c Config, d dial.Deps) (*Target, error) {
	s, err := settle(c)
	if err != nil {
		return nil, err
	}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	silence()
	return &Target{settled: s, log: d.Log}, nil
}

func (t *Target) recordKey(label string) string { return t.Prefix + "certfleet:cert:" + label }
func (t *Target) usersKey(key string) string    { return t.Prefix + "certfleet:users:{" + key + "}" }
func (t *Target) channel() string               { return t.Prefix + "certfleet:changed" }
func (t *Target) changesKey() string            { return t.Prefix + "certfleet:changes" }

// ownerKey is where a name's generation stands: in the hash itself in layout 3,
// beside it where the hash is another's contract.
func (t *Target) ownerKey(key string) string {
	if t.Layout == 3 {
		return key
	}
	return t.Prefix + "certfleet:owner:{" + key + "}"
}

// open connects. The caller closes: a target lives for one delivery or a listing.
func (t *Target) open(ctx context.Context) (goredis.UniversalClient, error) {
	o := *t.options
	db := goredis.NewUniversalClient(&o)
	err := db.Ping(ctx).Err()
	for _, s := range scripts {
		if err == nil {
			err = t.load(ctx, db, s)
		}
	}
	if err != nil {
		db.Close()
		return nil, t.explain(err)
	}
	return db, nil
}

func (t *Target) load(ctx context.Context, db goredis.UniversalClient, s *goredis.Script) error {
	if c, ok := db.(*goredis.ClusterClient); ok {
		return c.ForEachMaster(ctx, func(ctx context.Context, n *goredis.Client) error { return s.Load(ctx, n).Err() })
	}
	return s.Load(ctx, db).Err()
}

// Deliver writes the bundles, shared values before the names that refer to them,
// and tells the edges. An older version never replaces a newer one.
func (t *Target) Deliver(ctx context.Context, bundles []certfleet.Bundle, _ []certfleet.Receipt) ([]certfleet.Receipt, error) {
	db, err := t.open(ctx)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	receipts, changed := t.write(ctx, db, bundles)
	if len(changed) > 0 {
		t.tell(ctx, db, changed, receipts)
	}
	return receipts, nil
}

// write brings the bundles into Redis and answers the names that changed.
func (t *Target) write(ctx context.Context, db goredis.UniversalClient, bundles []certfleet.Bundle) ([]certfleet.Receipt, []string) {
	receipts := make([]certfleet.Receipt, len(bundles))
	var jobs []*job
	now := time.Now()
	for i, b := range bundles {
		receipts[i] = certfleet.Receipt{Certificate: b.Certificate, Version: b.Version, Fingerprint: b.Fingerprint}
		c, err := t.check(b, now)
		if err != nil {
			receipts[i].Err = err
			continue
		}
		jobs = append(jobs, &job{content: c, receipt: &receipts[i]})
	}
	t.run(ctx, db, jobs)
	var changed []string
	for _, j := range jobs {
		j.receipt.Fingerprint = j.fingerprint
		j.receipt.Applied = j.err == nil
		if j.receipt.Err = t.explain(j.err); j.err == nil || j.overtaken {
			changed = append(append(changed, j.names...), t.namesOf(j.dropped)...)
		}
	}
	slices.Sort(changed)
	return receipts, slices.Compact(changed)
}

// namesOf turns items of a record back into names.
func (t *Target) namesOf(items []string) []string {
	var names []string
	for _, item := range items {
		key, _, _ := strings.Cut(item, " ")
		_, name, _ := strings.Cut(strings.TrimPrefix(key, t.Prefix), ":")
		names = append(names, name)
	}
	return names
}

// Remove forgets a certificate: its names that no other certificate took over,
// and shared values that it was the last to use.
func (t *Target) Remove(ctx context.Context, certificate string, _ certfleet.Receipt) error {
	db, err := t.open(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	rec, err := t.record(ctx, db, certificate)
	if err != nil || rec == nil {
		return t.explain(err)
	}
	j := &job{content: content{label: certificate}}
	j.staleItems = append(lines(rec["items"]), lines(rec["stale_items"])...)
	j.staleShared = append(lines(rec["shared"]), lines(rec["stale_shared"])...)
	if t.drop(ctx, db, []*job{j}); j.err != nil {
		return t.explain(j.err)
	}
	if err := db.Del(ctx, t.recordKey(certificate)).Err(); err != nil {
		return t.explain(err)
	}
	_, err = t.spread(ctx, db, t.namesOf(j.staleItems))
	return err
}

func (t *Target) record(ctx context.Context, db reads, label string) (map[string]string, error) {
	rec, err := db.HGetAll(ctx, t.recordKey(label)).Result()
	if err != nil || len(rec) == 0 {
		return nil, err
	}
	return rec, nil
}

func lines(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == '\n' })
}

func version(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64)
	return n
}

// explain gives the mistakes of every day their advice.
func (t *Target) explain(err error) error {
	if _, ok := errors.AsType[*certfleet.Error](err); ok || err == nil {
		return err
	}
	e := &certfleet.Error{Kind: certfleet.Internal, Msg: "Redis refused", Advice: "look at the server's log", Err: err}
	var network net.Error
	switch text := err.Error(); {
	case strings.HasPrefix(text, "NOAUTH"), strings.HasPrefix(text, "WRONGPASS"), strings.HasPrefix(text, "NOPERM"), strings.HasPrefix(text, "ERR AUTH"):
		e.Kind, e.Msg, e.Advice = certfleet.Denied, "Redis does not let us in", "set user and password to those of the server's acl"
	case strings.HasPrefix(text, "OOM"):
		e.Kind, e.Msg, e.Advice = certfleet.Limited, "Redis is full", "raise maxmemory; no certificate may be evicted, so set maxmemory-policy to noeviction"
	case strings.HasPrefix(text, "READONLY"):
		e.Kind, e.Msg, e.Advice = certfleet.Denied, "this Redis is a replica", "give the address of the primary, or use master with sentinels"
	case strings.HasPrefix(text, "WRONGTYPE"):
		e.Kind, e.Msg, e.Advice = certfleet.Conflict, "a key of another type is in the way", "give the certificates a database of their own, or a prefix"
	case errors.As(err, &network), errors.Is(err, context.DeadlineExceeded), strings.Contains(text, "connection"), strings.Contains(text, "EOF"):
		e.Kind, e.Msg, e.Advice = certfleet.Unreachable, fmt.Sprintf("Redis at %s does not answer", strings.Join(t.options.Addrs, ", ")), "start it, or correct the url"
	}
	e.Msg = cmp.Or(e.Msg, "Redis refused")
	return e
}
