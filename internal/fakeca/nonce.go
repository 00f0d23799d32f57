package fakeca

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"sync"
)

var b64 = base64.RawURLEncoding

// nonceWindow is how many of the newest nonces are good.
const nonceWindow = 1 << 16

// nonces need no memory but one bit each: a nonce is a number with a tag that
// only the CA can make.
type nonces struct {
	secret uint64

	mu   sync.Mutex
	next uint64                   // under mu
	used [nonceWindow / 64]uint64 // under mu; a bit for each of the newest
}

func newNonces() *nonces { return &nonces{secret: randomSecret()} }

func (n *nonces) make() string {
	n.mu.Lock()
	n.next++
	v := n.next
	n.used[v%nonceWindow/64] &^= 1 << (v % 64)
	n.mu.Unlock()
	return n.encode(v)
}

func (n *nonces) encode(v uint64) string {
	sum := sha256.Sum256(bits(n.secret, v))
	return b64.EncodeToString(append(bits(v), sum[:8]...))
}

// take reports whether s is a nonce of ours that was not used before.
func (n *nonces) take(s string) bool {
	b, err := b64.DecodeString(s)
	if err != nil || len(b) != 16 {
		return false
	}
	v := binary.BigEndian.Uint64(b)
	if n.encode(v) != s {
		return false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	bit := uint64(1) << (v % 64)
	if v+nonceWindow <= n.next || n.used[v%nonceWindow/64]&bit != 0 {
		return false
	}
	n.used[v%nonceWindow/64] |= bit
	return true
}

func bits(vs ...uint64) []byte {
	var out []byte
	for _, v := range vs {
		out = binary.BigEndian.AppendUint64(out, v)
	}
	return out
}
