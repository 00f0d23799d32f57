package compat

import (
	"maps"
	"slices"
	"strings"

	"github.com/certfleet/certfleet"
)

// options are the words that a field takes, by how its name begins.
func options(field string) []string {
	root, _, _ := strings.Cut(strings.TrimPrefix(field, "account__order_default_"), "__")
	switch root {
	case "processing_strategy":
		return strategies
	case "private_key_technology", "private_key_generate":
		return slices.Sorted(maps.Keys(fromTechnology))
	case "private_key_cycle":
		out := []string{}
		for _, k := range certfleet.KeyCycles {
			out = append(out, string(k))
		}
		return out
	}
	return nil
}

// complete adds the words that fields take, and a line to try.
func (a about) complete(path string) about {
	a.Options = map[string][]string{}
	line := []string{"curl", "--user scripts:cf_TOKEN"}
	for _, f := range slices.Sorted(maps.Keys(a.Fields)) {
		if words := options(f); words != nil {
			a.Options[f] = words
		}
		if strings.Contains(a.Fields[f], "required") {
			line = append(line, "--form '"+f+"=...'")
		}
	}
	if len(line) == 2 {
		line = append(line, "--request POST")
	}
	a.Examples = []string{strings.Join(append(line, "https://SERVER"+path), " ")}
	return a
}
