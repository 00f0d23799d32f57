// Package catalogue knows the names of lego's DNS providers and of the
// environment variables that each of them reads.
package catalogue

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

//go:generate go run ./gen -o catalogue.json

//go:embed catalogue.json
var raw []byte

// Entry is one provider.
type Entry struct {
	Name        string   `json:"name"`
	Aliases     []string `json:"aliases,omitempty"`
	Title       string   `json:"title"`
	Credentials []string `json:"credentials,omitempty"` // variables; some are alternatives to each other
	Settings    []string `json:"settings,omitempty"`    // variables that have defaults
}

// URL is where lego documents the provider.
func (e Entry) URL() string { return "https://go-acme.github.io/lego/dns/" + e.Name + "/" }

// All are the providers by name.
func All() ([]Entry, error) {
	var all []Entry
	if err := json.Unmarshal(raw, &all); err != nil {
		return nil, fmt.Errorf("read the catalogue of providers: %w", err)
	}
	return all, nil
}

// Find is the provider of that name or alias.
func Find(name string) (Entry, bool) {
	all, err := All()
	i := slices.IndexFunc(all, func(e Entry) bool { return e.Name == name || slices.Contains(e.Aliases, name) })
	if err != nil || i < 0 {
		return Entry{}, false
	}
	return all[i], true
}

// Near are the names that contain name or are contained in it, or else begin
// alike, for "did you mean".
func Near(name string) []string {
	if len(name) < 3 {
		return nil
	}
	all, _ := All()
	var within, alike []string
	for _, e := range all {
		switch {
		case strings.Contains(e.Name, name), strings.Contains(name, e.Name):
			within = append(within, e.Name)
		case strings.HasPrefix(e.Name, name[:3]):
			alike = append(alike, e.Name)
		}
	}
	if len(within) > 0 {
		return within
	}
	return alike
}
