package files

import "github.com/certfleet/certfleet"

// harmless reports whether a name may stand on disk as it is.
func harmless(s string) bool {
	name, err := certfleet.LineageName(s)
	return err == nil && name == s
}
