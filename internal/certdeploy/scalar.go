package certdeploy

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
)

// null reports whether nothing is given (YAML 1.1, https://yaml.org/type/null.html).
func (n *node) null() bool {
	return n == nil || n.kind == scalar && !n.quoted && slices.Contains([]string{"", "~", "null", "Null", "NULL"}, n.text)
}

// boolean reads the words of YAML 1.1 (https://yaml.org/type/bool.html).
func (n *node) boolean() (value, ok bool) {
	if n.kind != scalar || n.quoted {
		return false, false
	}
	for word, v := range map[string]bool{"yes": true, "true": true, "on": true, "no": false, "false": false, "off": false} {
		if n.text == word || n.text == strings.ToUpper(word) || n.text == strings.ToUpper(word[:1])+word[1:] {
			return v, true
		}
	}
	return false, false
}

var (
	decimal     = regexp.MustCompile(`^[-+]?(0|[1-9][0-9_]*)$`)
	octal       = regexp.MustCompile(`^[-+]?0[0-7_]+$`)
	based       = regexp.MustCompile(`^[-+]?0(b[01_]+|x[0-9a-fA-F_]+)$`)
	sexagesimal = regexp.MustCompile(`^[-+]?[1-9][0-9_]*(:[0-5]?[0-9])+$`)
)

// integer reads the whole numbers of YAML 1.1 (https://yaml.org/type/int.html):
// 0600 is octal, 1_000 a thousand, and 15:00 nine hundred.
func (n *node) integer() (int64, bool) {
	if n.kind != scalar || n.quoted {
		return 0, false
	}
	text := strings.ReplaceAll(n.text, "_", "")
	var v int64
	var err error
	switch {
	case decimal.MatchString(n.text), based.MatchString(n.text):
		v, err = strconv.ParseInt(text, 0, 64)
	case octal.MatchString(n.text):
		v, err = strconv.ParseInt(text, 8, 64)
	case sexagesimal.MatchString(n.text):
		for part := range strings.SplitSeq(strings.TrimLeft(text, "+-"), ":") {
			digit, _ := strconv.ParseInt(part, 10, 64)
			if v > math.MaxInt32 {
				return 0, false
			}
			v = v*60 + digit
		}
		if text[0] == '-' {
			v = -v
		}
	default:
		return 0, false
	}
	return v, err == nil
}

// number reads whole numbers and decimal fractions.
func (n *node) number() (float64, bool) {
	if i, ok := n.integer(); ok {
		return float64(i), true
	}
	if n.kind != scalar || n.quoted || !strings.ContainsAny(n.text, "0123456789") || strings.ContainsAny(n.text, "xXpP:") {
		return 0, false
	}
	f, err := strconv.ParseFloat(strings.ReplaceAll(n.text, "_", ""), 64)
	return f, err == nil
}

// word is a scalar as text; a number or a truth value is none.
func (n *node) word() (string, bool) {
	if n.kind != scalar || n.null() {
		return "", false
	}
	_, truth := n.boolean()
	_, number := n.number()
	return n.text, n.quoted || !truth && !number
}

// String shows the value in an error.
func (n *node) String() string {
	switch {
	case n == nil:
		return "None"
	case n.kind == list:
		return "a list"
	case n.kind == mapping:
		return "a mapping"
	case n.null():
		return "None"
	case len(n.text) > 200:
		return n.text[:200] + "..."
	}
	return n.text
}

// maxSeconds is the longest time that a setting may ask for, a year.
const maxSeconds = 366 * 24 * 3600

// seconds reads a time that is not negative; nothing is ok and zero.
func (n *node) seconds() (time.Duration, bool) {
	if n.null() {
		return 0, true
	}
	f, ok := n.number()
	return time.Duration(f * float64(time.Second)), ok && f >= 0 && f <= maxSeconds
}

// settings says what to do with each key of a mapping.
type settings map[string]func(*node) error

// read hands each key of the mapping to its setting. what is the mapping in an
// error about a key that nobody knows.
func (s settings) read(n *node, what string) error {
	if n.null() {
		return nil
	}
	if n.kind != mapping {
		return invalid("write KEY: VALUE on lines of their own", "%s: got %s, not a mapping", what, n)
	}
	for _, k := range n.keys {
		set, ok := s[k]
		if !ok {
			return invalid("remove the key, or correct its spelling"+s.near(k), "Invalid %s option: unexpected keyword argument '%s'", what, k)
		}
		if err := set(n.fields[k]); err != nil {
			return err
		}
	}
	return nil
}

// near names the key that begins alike.
func (s settings) near(key string) string {
	for _, k := range sortedKeys(s) {
		if len(key) > 3 && len(k) > 3 && k[:4] == key[:4] {
			return "; there is " + k
		}
	}
	return ""
}

func sortedKeys[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// badValue is an error in the words that certdeploy has for it.
func badValue(n *node, key, must string) error {
	return invalid("correct "+key+" in the configuration", "Invalid value \"%s\" for `%s`. `%s` must %s.", n, key, key, must)
}

func invalid(advice, format string, args ...any) error {
	return &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf(format, args...), Advice: advice}
}

func setBool(key string, into *bool) func(*node) error {
	return func(n *node) error {
		v, ok := n.boolean()
		if !ok && !n.null() {
			return badValue(n, key, "be true or false")
		}
		*into = v
		return nil
	}
}

func setWord(key string, into *string) func(*node) error {
	return func(n *node) error {
		if n.null() {
			*into = ""
			return nil
		}
		if n.kind != scalar {
			return badValue(n, key, "be text")
		}
		*into = n.text
		return nil
	}
}

// setCount reads a whole number of at least least.
func setCount(key string, least int64, must string, into func(int64)) func(*node) error {
	return func(n *node) error {
		v, ok := n.integer()
		if !ok || v < least || v > maxSeconds {
			return badValue(n, key, must)
		}
		into(v)
		return nil
	}
}

func setSeconds(key string, into *time.Duration) func(*node) error {
	return func(n *node) error {
		v, ok := n.seconds()
		if !ok {
			return badValue(n, key, "be a number greater than or equal to 0 or `null`")
		}
		*into = v
		return nil
	}
}
