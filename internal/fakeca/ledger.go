package fakeca

import (
	"encoding/binary"
	"encoding/hex"
	"math/big"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
)

// What became of a certificate.
const (
	replaced uint8 = 1 << iota
	revoked
	hurried // its renewal window lies in the past
	spoiled // it was never signed
)

// record is what is kept of a certificate for as long as it holds.
type record struct {
	names      []uint64 // hashes
	set        uint64
	order      uint64 // that it came from
	replacedBy uint64 // an order
	begins     int64  // seconds
	life       uint32 // seconds
	who        uint32
	profile    uint8
	state      uint8
	reason     uint8
}

func (r *record) notAfter() time.Time {
	return time.Unix(r.begins+int64(r.life)-1, 0).UTC()
}

// ledger numbers certificates from 1 and keeps those that hold.
type ledger struct {
	first   uint64 // the number of records[0], less one
	records []record
	closed  time.Time // until then a record that holds keeps those behind it
}

func (l *ledger) add(r record) uint64 {
	l.records = append(l.records, r)
	return l.first + uint64(len(l.records))
}

// at is the record with a number, or nil when it is forgotten.
func (l *ledger) at(n uint64) *record {
	if n <= l.first || n > l.first+uint64(len(l.records)) {
		return nil
	}
	return &l.records[n-l.first-1]
}

// forgetExpired drops the oldest once many of them have expired.
func (l *ledger) forgetExpired(now time.Time) {
	const many = 1 << 14
	quarter := len(l.records) / 4
	if quarter < many || now.Before(l.closed) || !l.records[quarter].notAfter().Before(now) {
		return
	}
	n := 0
	for n < len(l.records) && l.records[n].notAfter().Before(now) {
		n++
	}
	if n < quarter { // an older one that lives longer is in the way
		l.closed = l.records[n].notAfter()
		return
	}
	l.records = append(make([]record, 0, len(l.records)), l.records[n:]...)
	l.first += uint64(n)
}

// number is a certificate's serial number: its number in the ledger, and a tag
// that depends on the seed.
func (l *ledger) number(n, seed uint64) *big.Int {
	return new(big.Int).SetBytes(append([]byte{0x2a}, bits(n, mix(seed^mix(n)))[:15]...))
}

func (l *ledger) serial(n, seed uint64) string {
	return hex.EncodeToString(l.number(n, seed).Bytes())
}

// find is the number of a certificate by its serial in hexadecimal.
func (l *ledger) find(serial string, seed uint64) (uint64, bool) {
	b, err := hex.DecodeString(serial)
	if err != nil {
		return 0, false
	}
	return l.bySerial(b, seed)
}

func (l *ledger) bySerial(b []byte, seed uint64) (uint64, bool) {
	if len(b) != 16 || b[0] != 0x2a {
		return 0, false
	}
	n := binary.BigEndian.Uint64(b[1:9])
	r := l.at(n)
	return n, r != nil && r.state&spoiled == 0 && l.number(n, seed).Cmp(new(big.Int).SetBytes(b)) == 0
}

// named is the record that an ARI id names (RFC 9773 section 4.1), or nil. Only
// the serial is looked at, without its tag; see parseARI for a full check.
func (l *ledger) named(ariID string) *record {
	_, serial, _ := strings.Cut(ariID, ".")
	b, err := b64.DecodeString(serial)
	if err != nil || len(b) != 16 {
		return nil
	}
	return l.at(binary.BigEndian.Uint64(b[1:9]))
}

func hashes(names []certfleet.Name) []uint64 {
	out := make([]uint64, len(names))
	for i, n := range names {
		out[i] = hash(n.String())
	}
	return out
}

// withCert is the order that got a certificate, or nil. The caller holds the lock.
func (ca *CA) withCert(n uint64) *order {
	r := ca.certs.at(n)
	if r == nil {
		return nil
	}
	return ca.orders[r.order]
}
