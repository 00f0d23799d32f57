package certfleet

import (
	"strings"
	"testing"
)

func TestParseNameAccepts(t *testing.T) {
	for in, want := range map[string]string{
		"Shop.Example.COM": "shop.example.com", "shop.example.com.": "shop.example.com", " shop.example.com ": "shop.example.com",
		"*.example.com": "*.example.com", "bücher.example": "xn--bcher-kva.example", "*.bücher.example": "*.xn--bcher-kva.example", "xn--bcher-kva.example": "xn--bcher-kva.example",
		"192.0.2.7": "192.0.2.7", "2001:DB8::1": "2001:db8::1", "[2001:db8::1]": "2001:db8::1", "::ffff:192.0.2.7": "192.0.2.7",
		"a-b.c1.example.co.uk": "a-b.c1.example.co.uk", "host.internal": "host.internal",
		strings.Repeat("a.", 122) + "example": strings.Repeat("a.", 122) + "example",
	} {
		got, err := ParseName(in)
		if err != nil || got.String() != want {
			t.Errorf("%q is %q (%v), want %q", in, got, err, want)
		}
	}
}

func TestParseNameRefusesWithAdvice(t *testing.T) {
	for in, word := range map[string]string{
		"": "empty", "https://shop.example.com/x": "URL", "shop.example.com:443": "port", "shop example.com": "space", "shop_1.example.com": "underscore",
		"shop.*.example.com": "wildcard", "sh*p.example.com": "wildcard", "*.*.example.com": "wildcard", "*": "wildcard", "a@example.com": "@", "example.com/path": "slash",
		"com": "one label", "co.uk": "public suffix", "*.co.uk": "public suffix", "github.io": "public suffix", "a..example.com": "empty label", ".example.com": "empty label",
		"-a.example.com": "hyphen", "a-.example.com": "hyphen", "1.2.3": "IP address", "300.1.1.1": "IP address", "fe80::1%eth0": "zone",
		strings.Repeat("a", 64) + ".example.com": "label of 64", strings.Repeat("a.", 150) + "example.com": "characters long", "shop\x00.example.com": "no host name",
	} {
		n, err := ParseName(in)
		if err == nil || KindOf(err) != Invalid || AdviceOf(err) == "" || !strings.Contains(err.Error(), word) || !n.IsZero() {
			t.Errorf("%q: %q, %v (advice %q); want a refusal that says %q", in, n, err, AdviceOf(err), word)
		}
	}
}

func TestParseNamesRefusesTheSameNameTwice(t *testing.T) {
	if _, err := ParseNames([]string{"shop.example", "SHOP.example."}); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("got %v", err)
	}
}

func TestWildcardsCoverOneLabel(t *testing.T) {
	parse := func(s string) Name {
		n, err := ParseName(s)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for host, want := range map[string]bool{"a.example.com": true, "a.b.example.com": false, "example.com": false, "*.example.com": true} {
		if parse("*.example.com").Covers(parse(host)) != want {
			t.Errorf("*.example.com covers %s: want %v", host, want)
		}
	}
	if d := parse("a.b.example.co.uk").RegisteredDomain(); d != "example.co.uk" {
		t.Errorf("registered domain %s", d)
	}
	if a, b := SetKey([]Name{parse("b.example"), parse("a.example")}), SetKey([]Name{parse("a.example"), parse("b.example")}); a != b {
		t.Errorf("the same set has keys %s and %s", a, b)
	}
}

func FuzzParseName(f *testing.F) {
	for _, s := range []string{"shop.example.com", "*.bücher.example", "::1", "a..b", "https://x", "xn--", "xn--a.example", strings.Repeat("é.", 100)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseName(s)
		if err != nil {
			if AdviceOf(err) == "" || len(err.Error()) > 400 {
				t.Errorf("%q is refused without advice, or at length: %v", s, err)
			}
			return
		}
		again, err := ParseName(n.String())
		if err != nil || again != n {
			t.Errorf("%q became %q, which becomes %q (%v)", s, n, again, err)
		}
		if len(n.String()) > 253+2 || strings.ContainsAny(n.String(), " /\\@_\x00") {
			t.Errorf("%q became %q", s, n)
		}
	})
}

func TestNamePartIsWhatIsStored(t *testing.T) {
	for in, want := range map[string]string{
		"Shop": "shop", " bücher.example ": "xn--bcher-kva.example", "*.Example.com": "*.example.com", "a-b": "a-b", "": "",
	} {
		if got := NamePart(in); got != want {
			t.Errorf("%q is stored as %q, want %q", in, got, want)
		}
	}
}
