package certfleet

import (
	"fmt"
	"strings"
)

// maxLineage leaves room for endings within the 255 bytes of a file name.
const maxLineage = 200

// LineageName maps a certificate's label to the name of its folder, so that two
// labels never share one and none leads out of the folder above: a leading "*."
// becomes "_.", and every byte that is not harmless is written as %XX.
func LineageName(label string) (string, error) {
	name := harmless(label)
	if rest, ok := strings.CutPrefix(label, "*."); ok && rest != "" {
		name = "_." + harmless(rest)
	} else if strings.HasPrefix(name, "_.") {
		name = "%5F" + name[1:] // "_." is what wildcards begin with
	}
	if name == "" || len(name) > maxLineage {
		return "", &Error{Kind: Invalid, Msg: fmt.Sprintf("label %.60q makes no folder name", label), Advice: fmt.Sprintf("give the certificate a label of 1 to %d characters", maxLineage)}
	}
	return name, nil
}

// LabelOf is the inverse of LineageName. A name that LineageName never answers,
// such as one that begins with a dot, is refused.
func LabelOf(lineage string) (string, error) {
	label := unescape(lineage)
	if rest, ok := strings.CutPrefix(lineage, "_."); ok {
		label = "*." + unescape(rest)
	}
	if again, err := LineageName(label); err != nil || again != lineage {
		return "", &Error{Kind: Invalid, Msg: fmt.Sprintf("%.60q is not the name of a lineage", lineage), Advice: "use letters, digits, dots, hyphens and underscores, and _. for *."}
	}
	return label, nil
}

func harmless(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', c == '.' && i > 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		var c byte
		if n, err := fmt.Sscanf(s[i:min(len(s), i+3)], "%%%02X", &c); n == 1 && err == nil && len(s) >= i+3 {
			b.WriteByte(c)
			i += 2
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
