package files

import (
	"fmt"
	"strings"
)

// maxFileName leaves room for endings within the 255 bytes of a file name.
const maxFileName = 200

// fileName maps a label to a file name, so that two labels never share one and
// none leaves the folder.
func fileName(label string) (string, error) {
	name := safe(label)
	if rest, ok := strings.CutPrefix(label, "*."); ok && rest != "" {
		name = "_." + safe(rest)
	} else if strings.HasPrefix(name, "_.") {
		name = "%5F" + name[1:] // "_." is what wildcards begin with
	}
	if name == "" || len(name) > maxFileName {
		return "", invalid(fmt.Sprintf("give the certificate a label of 1 to %d characters", maxFileName), nil, "label %q makes no file name", label)
	}
	return name, nil
}

// safe writes every byte as %XX that is not harmless in a file name, and a
// leading dot too.
func safe(s string) string {
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
