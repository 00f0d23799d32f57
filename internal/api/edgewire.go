package api

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// EdgeMedia is the media type of the binary answers to edges: one EdgePair after
// the other.
const EdgeMedia = "application/vnd.certfleet.pairs"

// EdgeState says what is known of a name that an edge asked for.
type EdgeState uint8

// The states of an answer.
const (
	EdgeNone      EdgeState = iota // nothing is served for the name
	EdgeFound                      // here it is
	EdgeUnchanged                  // the edge has it already
	EdgeLater                      // the store did not answer; what the edge has is still the best
)

// EdgePair is what one name serves. On the wire it is, numbers big-endian:
//
//	state uint8, length of name uint8, name
//	generation int64                                 unless none or later
//	not-after int64 in Unix seconds, flags uint8     if found; bit 0: expired or revoked
//	length of chain uint32, chain                    if found; DER certificates, leaf first
//	length of key uint32, key                        if found; PKCS #8 in DER
type EdgePair struct {
	Name       string
	State      EdgeState
	Generation int64 // a change of what is served makes it another
	NotAfter   time.Time
	Expired    bool
	Chain      []byte
	Key        []byte
}

// EdgeQuestions is what a batch asks.
type EdgeQuestions struct {
	Names []EdgeQuestion `json:"names" minItems:"1" maxItems:"1000" doc:"The names to look up."`
}

// EdgeQuestion is one name, and what the edge has of it.
type EdgeQuestion struct {
	Name       string `json:"name" maxLength:"255" doc:"A host name, in any case."`
	Generation int64  `json:"generation,omitempty" doc:"The generation that the edge has; the same one is answered without chain and key."`
}

// OnDemand is what became of a name that was ordered while somebody waited.
type OnDemand struct {
	CertificateID int64  `json:"certificate_id,omitempty"`
	OrderID       int64  `json:"order_id,omitempty"`
	Existing      bool   `json:"existing,omitempty" doc:"It was there, or on its way, before."`
	Pending       bool   `json:"pending,omitempty" doc:"The order goes on; ask again."`
	Problem       string `json:"problem,omitempty" doc:"Why there is no certificate."`
	Advice        string `json:"advice,omitempty"`
}

// EdgeLookup is how often an edge was given a version with its key in one hour.
type EdgeLookup struct {
	Edge      string    `json:"edge"`
	VersionID int64     `json:"version_id"`
	Hour      time.Time `json:"hour"`
	Count     int64     `json:"count"`
}

// AppendEdgePair writes p behind b.
func AppendEdgePair(b []byte, p EdgePair) []byte {
	name := p.Name[:min(len(p.Name), 255)]
	b = append(b, byte(p.State), byte(len(name)))
	b = append(b, name...)
	if p.State != EdgeFound && p.State != EdgeUnchanged {
		return b
	}
	b = binary.BigEndian.AppendUint64(b, uint64(p.Generation))
	if p.State != EdgeFound {
		return b
	}
	b = binary.BigEndian.AppendUint64(b, uint64(p.NotAfter.Unix()))
	var flags byte
	if p.Expired {
		flags = 1
	}
	b = append(b, flags)
	b = binary.BigEndian.AppendUint32(b, uint32(len(p.Chain)))
	b = append(b, p.Chain...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(p.Key)))
	return append(b, p.Key...)
}

// errShort says that an answer ends too early.
var errShort = errors.New("the answer to an edge is cut off")

// ParseEdgePairs reads a whole answer. Chain and Key share b's memory.
func ParseEdgePairs(b []byte) ([]EdgePair, error) {
	var out []EdgePair
	r := edgeReader{b: b}
	for len(r.b) > 0 && !r.short {
		out = append(out, r.pair())
	}
	if r.short {
		return nil, errShort
	}
	for _, p := range out {
		if p.State > EdgeLater {
			return nil, fmt.Errorf("the answer for %q has the unknown state %d", p.Name, p.State)
		}
	}
	return out, nil
}

type edgeReader struct {
	b     []byte
	short bool
}

func (r *edgeReader) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.short, r.b = true, nil
		return nil
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}

func (r *edgeReader) number(bytes int) uint64 {
	var n uint64
	for _, c := range r.take(bytes) {
		n = n<<8 | uint64(c)
	}
	return n
}

func (r *edgeReader) pair() (p EdgePair) {
	p.State = EdgeState(r.number(1))
	p.Name = string(r.take(int(r.number(1))))
	if p.State == EdgeFound || p.State == EdgeUnchanged {
		p.Generation = int64(r.number(8))
	}
	if p.State == EdgeFound {
		p.NotAfter = time.Unix(int64(r.number(8)), 0).UTC()
		p.Expired = r.number(1)&1 != 0
		p.Chain = r.take(int(r.number(4)))
		p.Key = r.take(int(r.number(4)))
	}
	return p
}
