package config

import (
	"bytes"
	_ "embed" // for the commented file
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

//go:embed certfleet.yaml
var commented []byte

// Commented is the configuration file with every setting explained and none set.
func Commented() string { return string(commented) }

// Choices are the settings that certfleet init asks for; an empty one is left
// to its default.
type Choices struct {
	Contact    []string
	StateDir   string
	Database   Database
	SealingKey Reference
	API        Address
	HTTP01     Address
	TLSALPN01  Address
}

// Write makes the commented file with the choices set in it.
func Write(c Choices) []byte {
	out := commented
	if len(c.Contact) > 0 {
		var quoted []string
		for _, s := range c.Contact {
			quoted = append(quoted, strconv.Quote(s))
		}
		out = set(out, "contact", "["+strings.Join(quoted, ", ")+"]")
	}
	for _, s := range []struct{ key, value string }{
		{"state_dir", c.StateDir},
		{"database", string(c.Database)},
		{"sealing_key", string(c.SealingKey)},
		{"api", string(c.API)},
		{"http01", string(c.HTTP01)},
		{"tlsalpn01", string(c.TLSALPN01)},
	} {
		if s.value != "" {
			out = set(out, s.key, strconv.Quote(s.value))
		}
	}
	return out
}

// set takes the # from a setting's line and gives it the value.
func set(file []byte, key, value string) []byte {
	line := regexp.MustCompile(fmt.Sprintf(`(?m)^( *)#%s: .*$`, regexp.QuoteMeta(key)))
	at := line.FindSubmatchIndex(file)
	if at == nil {
		panic("config: certfleet.yaml has no setting " + key) // a test sets each of them
	}
	indent := file[at[2]:at[3]]
	return bytes.Join([][]byte{file[:at[0]], indent, []byte(key + ": " + value), file[at[1]:]}, nil)
}
