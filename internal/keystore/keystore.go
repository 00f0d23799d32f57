package keystore

import (
	"context"
	"crypto"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/pki"
)

// version1 is the first byte of everything sealed.
const version1 = 1

// headerSize is the version and the data key's id, in bytes.
const headerSize = 1 + 8

// DataKey is a key that seals rows, as it is stored: wrapped by the sealing
// key that KeeperID names.
type DataKey struct {
	ID        int64
	KeeperID  string
	Wrapped   []byte
	CreatedAt time.Time
}

// DataKeys is where data keys are stored. They are never removed, because rows
// are sealed under them.
type DataKeys interface {
	List(ctx context.Context) ([]DataKey, error)
	Add(ctx context.Context, k DataKey) (id int64, err error)
}

// Keystore seals and opens. It is safe for concurrent use.
type Keystore struct {
	data DataKeys

	mu      sync.RWMutex // guards what follows
	opened  map[int64]*dataKey
	current *dataKey // seals; nil until the first use

	loading sync.Mutex       // held while the keeper or the store is asked; before mu
	keeper  certfleet.Keeper // guarded by loading
}

// New makes a Keystore that opens data keys with keeper. It asks for nothing
// before the first use.
func New(keeper certfleet.Keeper, data DataKeys) *Keystore {
	return &Keystore{keeper: keeper, data: data, opened: map[int64]*dataKey{}}
}

// Seal encrypts plain and binds it to aad, which names the row ("key:1:SPKI").
// The first Seal of an empty store makes its first data key.
func (k *Keystore) Seal(ctx context.Context, plain []byte, aad string) ([]byte, error) {
	dk, err := k.sealer(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]byte, headerSize, headerSize+len(plain)+dk.aead.Overhead())
	out[0] = version1
	binary.BigEndian.PutUint64(out[1:], uint64(dk.id))
	return dk.aead.Seal(out, nil, plain, bind(out, aad)), nil
}

// Open is the inverse of Seal. It fails when sealed was changed or moved to
// another row, and says so when another sealing key is needed.
func (k *Keystore) Open(ctx context.Context, sealed []byte, aad string) (certfleet.Secret, error) {
	id, err := DataKeyID(sealed)
	if err != nil {
		return nil, err
	}
	dk, err := k.opener(ctx, id)
	if err != nil {
		return nil, err
	}
	plain, err := dk.aead.Open(nil, nil, sealed[headerSize:], bind(sealed[:headerSize], aad))
	if err != nil {
		return nil, &certfleet.Error{Msg: "a sealed value does not open: it was changed, or belongs to another row",
			Advice: "restore the database from a backup", Err: fmt.Errorf("open %s under data key %d: %w", aad, id, err)}
	}
	return plain, nil
}

// DataKeyID is the id of the data key that something is sealed under.
func DataKeyID(sealed []byte) (int64, error) {
	if len(sealed) < headerSize {
		return 0, &certfleet.Error{Msg: fmt.Sprintf("a sealed value of %d bytes is cut off", len(sealed)), Advice: "restore the database from a backup"}
	}
	if sealed[0] != version1 {
		return 0, &certfleet.Error{Msg: fmt.Sprintf("a value is sealed in form %d, which this release does not know", sealed[0]),
			Advice: "install the release that wrote this database, or restore the database from a backup"}
	}
	return int64(binary.BigEndian.Uint64(sealed[1:])), nil
}

// bind is what is authenticated beside the plain form.
func bind(header []byte, aad string) []byte {
	b := make([]byte, 0, len(header)+len(aad))
	return append(append(b, header...), aad...)
}

// MakeKey makes a private key of type t and its PKCS #8 PEM form, which is what
// to Seal. RSA takes seconds and cannot be interrupted.
func (k *Keystore) MakeKey(ctx context.Context, t certfleet.KeyType) (crypto.Signer, certfleet.Secret, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	key, err := pki.GenerateKey(t)
	if err != nil {
		return nil, nil, err
	}
	pem, err := pki.MarshalKey(key)
	return key, pem, err
}
