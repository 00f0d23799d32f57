package lineage

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
)

// Subsystem is the SSH subsystem (RFC 4254 section 6.5) on which an agent takes
// parcels and answers each with a State, in the order in which they came. The
// pusher ends its side after the last one. The name has the form of RFC 4251
// section 6 for what is not assigned by IANA.
const Subsystem = "parcels@certfleet.github.io"

// Parcel is a lineage on its way in one piece.
type Parcel struct {
	Paper Paper             `json:"paper"`
	Data  map[string][]byte `json:"data"` // by file name, as Paper lists them
}

// Write writes v, a Parcel or a State, behind its length (four bytes, the highest
// first).
func Write(w io.Writer, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	defer clear(text) // it may hold a key
	frame := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(text)), uint32(len(text)))
	frame = append(frame, text...)
	defer clear(frame)
	_, err = w.Write(frame)
	return err
}

// Read reads what Write wrote into v, of at most max bytes. It answers io.EOF when
// nothing more comes.
func Read(r io.Reader, v any, max uint32) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > max {
		return invalid("send fewer or smaller files", "a message of %d bytes is longer than %d", n, max)
	}
	text := make([]byte, n)
	defer clear(text)
	if _, err := io.ReadFull(r, text); err != nil {
		return fmt.Errorf("read a message: %w", io.ErrUnexpectedEOF)
	}
	if err := json.Unmarshal(text, v); err != nil {
		return invalid("let pusher and agent be of the same release", "a message is not understood: %v", err)
	}
	return nil
}
