package certfleet

import (
	"strings"
	"testing"
)

func TestLineageNamesAndBack(t *testing.T) {
	for label, want := range map[string]string{
		"shop": "shop", "*.example.org": "_.example.org", "_.example.org": "%5F.example.org", "../etc": "%2E.%2Fetc",
		".hidden": "%2Ehidden", "a b": "a%20b", "100%25": "100%2525", "www.example.com-0001": "www.example.com-0001", "*.": "%2A.",
	} {
		name, err := LineageName(label)
		if err != nil || name != want {
			t.Errorf("LineageName(%q) = %q, %v; want %q", label, name, err, want)
		}
		if back, err := LabelOf(name); err != nil || back != label {
			t.Errorf("LabelOf(%q) = %q, %v; want %q", name, back, err, label)
		}
	}
	for _, bad := range []string{"", ".", "..", ".x", "a/b", "%41", "%2f", "a b", "x%", "x%2", strings.Repeat("x", 300), "*.example.org", "a\x00b"} {
		if label, err := LabelOf(bad); err == nil {
			t.Errorf("LabelOf(%q) = %q, want it refused", bad, label)
		}
	}
}

func FuzzLabelOf(f *testing.F) {
	f.Add("_.example.org")
	f.Add("%2E.%2Fetc")
	f.Fuzz(func(t *testing.T, name string) {
		label, err := LabelOf(name)
		if err != nil {
			return
		}
		if again, err := LineageName(label); err != nil || again != name || strings.ContainsAny(name, "/\x00") || name[0] == '.' {
			t.Errorf("%q -> %q -> %q, %v", name, label, again, err)
		}
	})
}
