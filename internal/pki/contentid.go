package pki

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strconv"
)

// ContentID is a decimal id that follows from the content alone: the first 63
// bits of its SHA-256. Edges that know certificates, keys and chains by number know
// them by this.
func ContentID(b []byte) string {
	sum := sha256.Sum256(b)
	return decimal(sum[:])
}

// ContentIDOf is the ContentID of content whose SHA-256 is there as hex already,
// empty for what is none.
func ContentIDOf(sum string) string {
	b, err := hex.DecodeString(sum)
	if err != nil || len(b) < 8 {
		return ""
	}
	return decimal(b)
}

func decimal(sum []byte) string {
	return strconv.FormatUint(binary.BigEndian.Uint64(sum)>>1, 10)
}
