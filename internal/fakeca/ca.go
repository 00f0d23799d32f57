// Package fakeca is a fast ACME CA in memory for tests, benchmarks and
// simulations: RFC 8555, RFC 9773 and profiles, the limits a real CA enforces,
// and the faults a real CA has, all by a clock that the caller owns.
//
// It is lenient where Pebble is strict in ways that no client of ours relies
// on; Pebble stays the judge of protocol truth. Its limits are counted
// independently of internal/plan, so that one checks the other.
package fakeca

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	mrand "math/rand/v2"
	"strings"
	"sync"
	"time"
)

// Options of a CA. The zero Options is a CA that believes every challenge and
// has no limits.
type Options struct {
	// URL is where the CA believes itself to be, without a path; empty is
	// https://fakeca.test, or wherever a request to Handler went.
	URL string
	// Now is the CA's clock, time.Now if nil.
	Now func() time.Time
	// Sleep waits for slow answers, by a timer if nil.
	Sleep func(ctx context.Context, d time.Duration) error
	// Seed decides all that looks like chance, except keys.
	Seed uint64
	// Trusting skips the check of signatures (JWS and CSR) for speed.
	Trusting bool
	// Lean keeps of a finished order only what renewal information, replaces and
	// limits need, and does not reuse authorizations. Orders are not listed and a
	// certificate can be downloaded until a thousand were issued after it.
	Lean bool
	// Validate looks at a challenge; nil believes every one. It is called without
	// any lock held, and answers nil or a *Problem (any other error is "connection").
	Validate func(ctx context.Context, v Validation) error
	// SharePending gives an order the authorization for a name that another order of
	// the account has pending, as RFC 8555 section 7.4 lets a CA do.
	// A lean CA reuses valid ones too then.
	SharePending bool
	// ValidationDelay is how long a challenge stays in processing.
	ValidationDelay time.Duration
	// IssueDelay is how long a finalized order stays in processing.
	IssueDelay time.Duration
	// Profiles offered, the first is the default; Let's Encrypt's if nil.
	Profiles []Profile
	// Limits enforced; none if nil. See LetsEncrypt.
	Limits []Limit
	// Overrides of the limits; more can be granted later.
	Overrides []Override
	// Paces enforced per source address; none if nil.
	Paces []Pace
	// EAB are the external account binding keys by id; if there are any, one is
	// required (RFC 8555 section 7.3.4). Each can be used once.
	EAB map[string][]byte
	// Dates accepts notBefore and notAfter in orders; else they are refused, as
	// Let's Encrypt does.
	Dates bool
	// Faults at the start; more can be injected later.
	Faults []Fault
}

// Validation is one challenge to look at.
type Validation struct {
	Type       string // http-01, dns-01 or tls-alpn-01
	Name       string // without a leading star
	Token      string
	KeyAuth    string
	AccountURL string
}

// CA is the authority. It may be used by many goroutines at a time.
type CA struct {
	o      Options
	base   string // without a slash at the end
	nonces *nonces
	signer *signer

	mu       sync.Mutex // guards all below; never held while waiting or signing
	accounts []*account
	byKey    map[string]*account // by JWK thumbprint
	eabUsed  map[string]bool
	orders   map[uint64]*order
	lastID   uint64
	finished []uint64          // orders that are over, oldest first (Lean)
	opened   []uint64          // orders in the order they were opened (Lean)
	open     map[string]uint64 // account, profile and set -> an order that can be reused
	authzs   map[uint64]*authz
	reusable map[string]*authz // account and name -> valid authorization, or pending with SharePending
	certs    ledger
	sets     map[uint64]struct{} // sets of names that were issued before
	blocked  map[[32]byte]bool   // keys revoked as compromised
	limits   limits
	faults   []*fault
	stats    Stats
}

// New makes a CA with fresh keys.
func New(o Options) *CA {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Sleep == nil {
		o.Sleep = sleep
	}
	if o.Profiles == nil {
		o.Profiles = LetsEncryptProfiles()
	}
	ca := &CA{
		o: o, base: strings.TrimRight(cmp.Or(o.URL, "https://fakeca.test"), "/"), nonces: newNonces(), signer: newSigner(o.Seed),
		byKey: map[string]*account{}, eabUsed: map[string]bool{},
		orders: map[uint64]*order{}, open: map[string]uint64{}, authzs: map[uint64]*authz{}, reusable: map[string]*authz{},
		sets: map[uint64]struct{}{}, blocked: map[[32]byte]bool{},
		limits: newLimits(o.Limits, o.Paces, o.Overrides),
		stats:  Stats{Requests: map[string]int{}},
	}
	for _, f := range o.Faults {
		ca.Inject(f)
	}
	return ca
}

// DirectoryURL is where a client begins.
func (ca *CA) DirectoryURL() string { return ca.base + "/directory" }

// RootsPEM are the roots that its chains end in, the default one first.
func (ca *CA) RootsPEM() []byte {
	var out []byte
	for _, der := range ca.signer.roots {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	return out
}

// Stats is what the CA has seen.
type Stats struct {
	Requests map[string]int // by endpoint
	Orders   int            // new orders that were taken
	Issued   int
	Failed   int // validations
	Refused  int // by a limit or a pause
	Faults   int

	// Orders with replaces, by when they came; only InWindow is exempt from limits.
	InWindow int
	Early    int
	Late     int
	SameSet  int // orders for a set that was issued before, not in a window
}

// Stats is a copy of what the CA has seen so far.
func (ca *CA) Stats() Stats {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	s := ca.stats
	s.Requests = make(map[string]int, len(ca.stats.Requests))
	for k, v := range ca.stats.Requests {
		s.Requests[k] = v
	}
	return s
}

func (ca *CA) nextID() uint64 { ca.lastID++; return ca.lastID }

// luck is a number in [0, 1) that the seed and its arguments decide.
func (ca *CA) luck(what uint64, n uint64) float64 {
	return float64(mix(ca.o.Seed^mix(what)^mix(n+0x9e3779b97f4a7c15))>>11) / (1 << 53)
}

// mix is the finalizer of splitmix64: every bit of x changes every bit of the result.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// hash is FNV-1a, mixed.
func hash(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return mix(h)
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// token is a challenge's token; the secret makes it no one's to guess.
func (ca *CA) token(id uint64) string {
	r := mrand.New(mrand.NewPCG(ca.signer.secret^mix(id), id))
	return fmt.Sprintf("%s%s", b64.EncodeToString(bits(r.Uint64(), r.Uint64(), r.Uint64())), b64.EncodeToString(bits(r.Uint64())))
}

func randomSecret() uint64 {
	var b [8]byte
	rand.Read(b[:])
	return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 | uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
}
