package certfleet

import (
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"iter"
	"time"
)

// Challenge is what a Solver is asked to make visible to a CA.
type Challenge struct {
	Type    ChallengeType
	Name    Name   // the name without a leading star
	Token   string // RFC 8555 section 8.1
	KeyAuth string // the key authorization of that token
}

// DNSName is where the TXT record goes, with a trailing dot (RFC 8555 section 8.4).
func (c Challenge) DNSName() string { return "_acme-challenge." + c.Name.Base() + "." }

// DNSValue is the TXT record's value (RFC 8555 section 8.4).
func (c Challenge) DNSValue() string {
	sum := sha256.Sum256([]byte(c.KeyAuth))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Solver makes challenges visible and takes them away again.
//
// Present may be called again for the same challenge after a crash, and CleanUp
// must work without the Present of this process: what it needs to know is in
// state, which is stored sealed, or empty when a crash lost it.
type Solver interface {
	Present(ctx context.Context, c Challenge) (state []byte, err error)
	CleanUp(ctx context.Context, c Challenge, state []byte) error
}

// Waiter is a Solver whose answer takes time to be seen. Ready looks once and
// returns at once; seen says in words what it found. The caller bounds the wait.
type Waiter interface {
	Ready(ctx context.Context, c Challenge, state []byte) (ready bool, seen string, err error)
}

// Bundle is one Version, opened, on its way to a Target.
type Bundle struct {
	Certificate string // label
	Version     int64  // also the generation: a higher one is newer
	Names       []Name
	ChainPEM    []byte // leaf first
	KeyPEM      Secret // PKCS #8
	Fingerprint string // SHA-256 of the leaf, lower-case hex
	NotAfter    time.Time
	Path        string // where it lies on this machine: a lineage folder or a file; empty when nowhere
	Rollback    bool   // it takes the place of a newer version, on purpose
	Again       bool   // it was brought before and is not served: tell the services once more
}

// Receipt is what a Target says about one Bundle. State is the target's own
// memory, stored sealed and handed back with the next delivery.
type Receipt struct {
	Certificate string
	Version     int64
	Fingerprint string
	State       []byte
	Applied     bool  // the target is sure that it holds this version now
	Err         error // this bundle was not delivered; the others may have been
}

// Target is where versions go. Deliver is idempotent, never removes a working
// pair before the new one is whole, and keeps key and chain of one generation
// together. It gets the receipts it gave before for the same certificates.
type Target interface {
	Deliver(ctx context.Context, bundles []Bundle, before []Receipt) ([]Receipt, error)
}

// Verifier is a Target that can say what it holds now.
type Verifier interface {
	Holds(ctx context.Context, certificate string, before Receipt) (fingerprint string, err error)
}

// Primer is a Target that can be written whole, and compared whole, faster than
// certificate by certificate.
type Primer interface {
	// Prime writes everything that from yields, in the order of certificates that
	// from keeps. from is called with the label to go on after: empty, or where an
	// earlier call was interrupted. report, which may be nil, hears after each batch
	// how far it is and which receipts have an error.
	Prime(ctx context.Context, from func(after string) iter.Seq2[Bundle, error], report func(Progress, []Receipt)) (Progress, error)
	// Verify compares what it holds with what it should: fingerprints by label.
	Verify(ctx context.Context, want iter.Seq2[string, string], differs func(Difference)) (Progress, error)
}

// Progress is how far a full write or a comparison has come.
type Progress struct {
	Certificates int           // looked at so far
	Names        int           // written
	Failed       int           // certificates with a problem
	After        string        // the label it goes on after
	Took         time.Duration // since it began
}

// Difference is a certificate that a Target does not hold as it should.
type Difference struct {
	Certificate string // label
	Want, Have  string // fingerprints; empty Have is none
	Err         error
}

// Fronted is a Target with servers in front of it that keep what it holds in
// caches of their own.
type Fronted interface {
	// AskEdges asks each of them how its cache stands.
	AskEdges(ctx context.Context) []EdgeAnswer
	// FlushEdges has each of them forget its cache, or the names alone if there
	// are any. Its error is of what they share; what one of them said is in its
	// answer.
	FlushEdges(ctx context.Context, names ...string) ([]EdgeAnswer, error)
}

// EdgeAnswer is what one server answered that was asked about its cache, or told
// to forget it.
type EdgeAnswer struct {
	URL     string // of the server's root
	Version string // of the module that answered
	Status  int    // of HTTP; zero when it did not answer
	Body    []byte // bounded; JSON where Err is nil
	Err     error
}

// Reader is a Target that keeps pairs where they can be read back, key and all.
// Read answers nil when it holds no working pair for the certificate.
type Reader interface {
	Read(ctx context.Context, certificate string, before Receipt) (*Bundle, error)
}

// Remover is a Target that can forget a certificate.
type Remover interface {
	Remove(ctx context.Context, certificate string, before Receipt) error
}

// Source is where names come from. It yields until its listing is whole; an
// error means that the listing is not, so nothing may be concluded from a gap.
type Source interface {
	List(ctx context.Context, cursor string, yield func(Wish) error) (next string, err error)
}

// Wish is one certificate that a Source asks for.
type Wish struct {
	Label   string
	Names   []Name
	Policy  string
	Targets []string
	Labels  Labels
}

// Notifier tells people.
type Notifier interface {
	Notify(ctx context.Context, e Event) error
}

// Updater makes a service use what was delivered.
type Updater interface {
	Update(ctx context.Context, changed []Bundle) error
}

// Keeper seals and opens the data keys under which everything else is sealed.
// Its ID names the sealing key, so that a wrong one is noticed before use.
type Keeper interface {
	ID() string
	Seal(ctx context.Context, plain, aad []byte) ([]byte, error)
	Open(ctx context.Context, sealed, aad []byte) ([]byte, error)
}

// Signer is a Keeper that signs with keys it never gives away.
type Signer interface {
	Signer(ctx context.Context, key string) (crypto.Signer, error)
}
