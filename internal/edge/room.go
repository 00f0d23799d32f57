package edge

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"strconv"
	"sync"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/keystore"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/store"
	"golang.org/x/sync/singleflight"
)

// fresh is how long an answer is given without a look at the slots.
const fresh = time.Second

// Room answers edges. DB and Keys must be set; the zero value of the rest works.
type Room struct {
	DB   *store.DB
	Keys *keystore.Keystore
	// Pairs is how many opened pairs, and Misses how many unknown names, are
	// remembered; zero means 20,000 and 100,000.
	Pairs, Misses int

	once   sync.Once
	cache  *cache
	flight singleflight.Group
	given  given
}

// Asked is one question of an edge.
type Asked struct {
	Tenant int64
	Edge   string // who asks, for the record
	Name   certfleet.Name
	Kind   Kind // empty for the best that there is
	Fresh  bool // something has just changed: look in any case
}

// Pair is a version, opened, as an edge serves it. It is shared: nobody writes to it.
type Pair struct {
	Name     certfleet.Name // the name that was asked for
	Covers   certfleet.Name // the name of the slot: Name, or the wildcard that covers it
	Slot     Kind
	Version  int64 // also the generation: a change makes it another
	DomainID int64
	KeyID    int64
	ChainID  string // decimal; the same chain has the same
	Multi    bool   // the certificate has several names
	NotAfter time.Time
	LeafPEM  []byte
	ChainPEM []byte // what is above the leaf
	FullPEM  []byte // leaf first
	KeyPEM   certfleet.Secret
	FullDER  []byte           // as FullPEM, the certificates one behind the other
	KeyDER   certfleet.Secret // as KeyPEM
	KeyHash  string           // SHA-256 of the subject public key info, lower-case hex
	Expired  bool
}

// covered reports whether a wildcard stands for the name that was asked for.
func (p *Pair) covered() bool { return p.Covers != p.Name }

// as is the pair, for a name that it covers.
func (p *Pair) as(n certfleet.Name) *Pair {
	same := *p
	same.Name = n
	return &same
}

// Find answers the pair that a name serves now. NotFound means that there is none.
func (r *Room) Find(ctx context.Context, a Asked) (*Pair, error) {
	p, err := r.find(ctx, a)
	if err != nil {
		return nil, err
	}
	return p, r.record(ctx, a.Edge, p.Version)
}

// Current says which version Find would answer, without its key; nothing is put
// on record.
func (r *Room) Current(ctx context.Context, a Asked) (version int64, err error) {
	p, err := r.find(ctx, a)
	if err != nil {
		return 0, err
	}
	return p.Version, nil
}

func (r *Room) setUp() {
	r.once.Do(func() {
		r.cache = newCache(or(r.Pairs, 20_000), or(r.Misses, 100_000))
		r.given.known = map[seat]int64{}
		r.given.told = map[seat]bool{}
	})
}

func or(n, otherwise int) int {
	if n > 0 {
		return n
	}
	return otherwise
}

func (r *Room) find(ctx context.Context, a Asked) (*Pair, error) {
	r.setUp()
	k := entryKey{a.Tenant, a.Name.String(), a.Kind}
	now := time.Now()
	old, seen := r.cache.get(k)
	if seen && !a.Fresh && now.Sub(old.at) < fresh {
		return old.answer(a.Name)
	}
	// One question a name at a time, whoever asks; it outlives the one who asked first.
	going := strconv.FormatInt(k.tenant, 10) + " " + k.name + " " + string(k.kind) + strconv.FormatBool(a.Fresh)
	if a.Fresh {
		r.flight.Forget(going) // it may have looked before the change
	}
	wait := r.flight.DoChan(going, func() (any, error) {
		look, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		e := entry{at: time.Now()} // what changes from here on may not be in it
		p, err := r.look(look, a, old.pair)
		if err != nil && certfleet.KindOf(err) != certfleet.NotFound {
			return nil, err
		}
		e.pair = p
		r.cache.put(k, e)
		return e, nil
	})
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case got := <-wait:
		if got.Err == nil {
			return got.Val.(entry).answer(a.Name)
		}
		// A store that does not answer takes nothing from an edge that it had.
		if old.pair != nil && now.Before(old.pair.NotAfter) {
			return old.pair, nil
		}
		return nil, got.Err
	}
}

// look reads the slots, and opens the version when it is not the one that we have.
func (r *Room) look(ctx context.Context, a Asked, have *Pair) (*Pair, error) {
	found, err := r.DB.ServingOf(ctx, a.Tenant, a.Name, wildcardOf(a.Name))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	best, ok := choose(found, a.Kind, now)
	if !ok {
		return nil, notFound(a.Name)
	}
	if have == nil || !have.is(best) {
		if best.Name != a.Name {
			return r.openCovering(ctx, a, best, now)
		}
		return r.open(ctx, a, best, now)
	}
	same := have.as(a.Name)
	same.Expired = best.Revoked || !now.Before(best.NotAfter)
	return same, nil
}

func (p *Pair) is(s store.Serving) bool { return p.Version == s.VersionID && p.Covers == s.Name }

// openCovering opens the pair of a wildcard once for all names that it covers.
func (r *Room) openCovering(ctx context.Context, a Asked, s store.Serving, now time.Time) (*Pair, error) {
	k := entryKey{a.Tenant, s.Name.String(), a.Kind}
	if e, ok := r.cache.get(k); ok && e.pair != nil && e.pair.is(s) {
		same := e.pair.as(a.Name)
		same.Expired = s.Revoked || !now.Before(s.NotAfter)
		return same, nil
	}
	wild := a
	wild.Name = s.Name
	p, err := r.open(ctx, wild, s, now)
	if err != nil {
		return nil, err
	}
	r.cache.put(k, entry{pair: p}) // of no time: whoever asks for the wildcard itself looks
	return p.as(a.Name), nil
}

func (r *Room) open(ctx context.Context, a Asked, s store.Serving, now time.Time) (*Pair, error) {
	v, err := r.DB.Version(ctx, s.VersionID)
	if err != nil {
		return nil, err
	}
	key, err := r.DB.Key(ctx, s.KeyID)
	if err != nil {
		return nil, err
	}
	domain, err := r.domainID(ctx, a.Tenant, s.Name)
	if err != nil {
		return nil, err
	}
	chain, err := pki.ParseChain(v.ChainPEM)
	if err != nil {
		return nil, err
	}
	secret, err := r.Keys.OpenPEM(ctx, key)
	if err != nil {
		return nil, err
	}
	p := &Pair{
		Name: a.Name, Covers: s.Name, Slot: s.Slot, Version: v.ID, DomainID: domain, KeyID: key.ID, Multi: len(v.Names) > 1, NotAfter: v.NotAfter,
		LeafPEM: pki.EncodeChain(chain[:1]), ChainPEM: pki.EncodeChain(chain[1:]), FullPEM: pki.EncodeChain(chain), KeyPEM: secret, KeyHash: v.SPKI,
		Expired: s.Revoked || !now.Before(v.NotAfter),
	}
	p.ChainID = pki.ContentID(p.ChainPEM)
	p.FullDER, p.KeyDER = unwrap(p.FullPEM), unwrap(p.KeyPEM)
	return p, nil
}

// unwrap is the DER of every PEM block.
func unwrap(text []byte) (der []byte) {
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			return der
		}
		der, text = append(der, block.Bytes...), rest
	}
}

// domainID is zero for a name that is nobody's domain, such as one more name of
// an import.
func (r *Room) domainID(ctx context.Context, tenant int64, n certfleet.Name) (int64, error) {
	d, err := r.DB.Domain(ctx, tenant, n)
	if certfleet.KindOf(err) == certfleet.NotFound {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return d.ID, nil
}

// Generation is a short text that changes whenever what is served does.
func (p *Pair) Generation() string {
	sum := sha256.Sum256([]byte(strconv.FormatInt(p.Version, 10) + " " + p.Covers.String()))
	return hex.EncodeToString(sum[:8])
}

func notFound(n certfleet.Name) error {
	return &certfleet.Error{Kind: certfleet.NotFound, Msg: "nothing is served for " + n.String(), Advice: "add a certificate for it: certfleet add " + n.String()}
}

// Held says how many opened pairs and how many misses are remembered.
func (r *Room) Held() (pairs, misses int) {
	r.setUp()
	r.cache.mu.Lock()
	defer r.cache.mu.Unlock()
	return r.cache.pairs.order.Len(), r.cache.misses.order.Len()
}
