package intake

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/certfleet/certfleet/internal/api"
)

// own are fields that an operator does not write.
var own = []string{"id", "rev", "unverified"}

// compare says in what an object differs from what it is to be, nil when in
// nothing. A difference is a Conflict when the object was only to be created.
func compare(kind, label string, is, want any, m Mode) (*api.Change, error) {
	fields, err := differing(is, want)
	if err != nil || len(fields) == 0 {
		return nil, err
	}
	if m == Create {
		return nil, taken(kind, label, fields)
	}
	return &api.Change{Kind: kind, Label: label, Action: "update", Fields: fields}, nil
}

func created(kind, label string) *api.Change {
	return &api.Change{Kind: kind, Label: label, Action: "create"}
}

func removed(kind, label string) *api.Change {
	return &api.Change{Kind: kind, Label: label, Action: "remove"}
}

// differing compares two wire forms field by field, as JSON says them.
func differing(is, want any) ([]api.FieldChange, error) {
	a, err := flat(is)
	if err != nil {
		return nil, err
	}
	b, err := flat(want)
	if err != nil {
		return nil, err
	}
	var out []api.FieldChange
	for k := range union(a, b) {
		if a[k] != b[k] && !slices.Contains(own, k) {
			out = append(out, api.FieldChange{Field: k, From: a[k], To: b[k]})
		}
	}
	slices.SortFunc(out, func(x, y api.FieldChange) int { return strings.Compare(x.Field, y.Field) })
	return out, nil
}

// flat is an object's fields, each as text; empty ones are left out.
func flat(v any) (map[string]string, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(b, &fields); err != nil {
		return nil, err
	}
	out := map[string]string{}
	for k, raw := range fields {
		if s := strings.Trim(string(raw), `"`); s != "" && s != "null" && s != "[]" && s != "{}" && s != "false" {
			out[k] = s
		}
	}
	return out, nil
}

func union(a, b map[string]string) map[string]bool {
	out := map[string]bool{}
	for k := range a {
		out[k] = true
	}
	for k := range b {
		out[k] = true
	}
	return out
}
