package certfleet

import (
	"errors"
	"fmt"
	"log/slog"
)

// Secret is something that must not be printed, logged or marshalled by
// accident: every such way yields its length or an error.
type Secret []byte

var errSecret = errors.New("a secret is never marshalled")

// String says only how long the secret is.
func (s Secret) String() string { return fmt.Sprintf("secret(%d bytes)", len(s)) }

// GoString is String, for %#v.
func (s Secret) GoString() string { return s.String() }

// Format answers every verb with String.
func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.String()) }

// LogValue is String, for slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalJSON refuses.
func (s Secret) MarshalJSON() ([]byte, error) { return nil, errSecret }

// MarshalText refuses.
func (s Secret) MarshalText() ([]byte, error) { return nil, errSecret }

// Wipe overwrites the secret in place.
func (s Secret) Wipe() { clear(s) }
