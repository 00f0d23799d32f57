package certfleet

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"
)

// Name is a checked DNS name (lower case, A-labels), wildcard or IP address.
// Only ParseName, UnmarshalText and Scan make one.
type Name struct{ s string }

// maxName is the longest DNS name in text form (RFC 1035 section 2.3.4).
const maxName = 253

var profile = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.StrictDomainName(true), idna.BidiRule())

func badName(s, why, advice string) error {
	if len(s) > 80 {
		s = s[:77] + "..."
	}
	return &Error{Kind: Invalid, Msg: fmt.Sprintf("name %q %s", s, why), Advice: advice}
}

// ParseName is the front door for names; past it nobody checks again. It
// accepts a trailing dot, upper case, internationalized names and IP
// addresses, and answers anything else with an Error that says what to write.
func ParseName(in string) (Name, error) {
	s := strings.TrimSpace(in)
	if s == "" {
		return Name{}, badName(in, "is empty", "give a host name such as www.example.com")
	}
	if strings.Contains(s, "://") {
		return Name{}, badName(in, "is a URL", "write only the host: "+hostOf(s))
	}
	if ip, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return parseIP(in, ip)
	}
	if err := lookAtSigns(in, s); err != nil {
		return Name{}, err
	}
	return parseDNS(in, strings.TrimSuffix(s, "."))
}

func hostOf(s string) string {
	if u, err := url.Parse(s); err == nil && u.Hostname() != "" {
		return u.Hostname()
	}
	return "such as www.example.com"
}

func parseIP(in string, ip netip.Addr) (Name, error) {
	if ip.Zone() != "" {
		return Name{}, badName(in, "has an IPv6 zone", "write the address without the part after %")
	}
	return Name{ip.Unmap().String()}, nil
}

// lookAtSigns answers the mistakes people make most with the words to write instead.
func lookAtSigns(in, s string) error {
	switch {
	case strings.ContainsAny(s, " \t\r\n"):
		return badName(in, "contains a space", "give one name at a time, without spaces")
	case strings.Contains(s, "/"):
		return badName(in, "contains a slash", "write only the host, without a path")
	case strings.Contains(s, "@"):
		return badName(in, "contains @", "write only the host, without a user or mailbox")
	case strings.Contains(s, ":"):
		host, _, _ := strings.Cut(s, ":")
		return badName(in, "contains a port", "write only the host: "+host)
	case strings.Contains(s, "_"):
		return badName(in, "contains an underscore", "use a name without underscores: no public CA may certify one")
	}
	return nil
}

func parseDNS(in, s string) (Name, error) {
	wild := strings.HasPrefix(s, "*.")
	host := strings.TrimPrefix(s, "*.")
	if strings.Contains(host, "*") {
		return Name{}, badName(in, "has a wildcard that is not its whole first label", "write *.example.com, with the star alone at the front")
	}
	a, err := toASCII(host)
	if err != nil {
		return Name{}, dnsProblem(in, host)
	}
	if wild {
		a = "*." + a
	}
	if err := checkLabels(in, a); err != nil {
		return Name{}, err
	}
	return Name{a}, nil
}

// toASCII maps a host to A-labels and refuses those that would not be read back:
// the mapping lets bytes through that are no text, and makes labels of them that
// no one else accepts.
func toASCII(host string) (string, error) {
	a, err := profile.ToASCII(host)
	if err != nil {
		return "", err
	}
	if again, err := profile.ToASCII(a); err != nil || again != a {
		return "", errors.Join(fmt.Errorf("%q maps to %q, which is no name", host, a), err)
	}
	return a, nil
}

// dnsProblem explains what idna refused in words.
func dnsProblem(in, host string) error {
	for label := range strings.SplitSeq(host, ".") {
		switch {
		case label == "":
			return badName(in, "has an empty label", "remove the doubled or leading dot")
		case strings.HasPrefix(label, "-"), strings.HasSuffix(label, "-"):
			return badName(in, "has a label that begins or ends with a hyphen", "remove the hyphen at the edge of the label")
		}
	}
	return badName(in, "has a character that no host name may have", "use letters, digits, hyphens and dots; write other scripts as they are or as xn-- labels")
}

func checkLabels(in, a string) error {
	host := strings.TrimPrefix(a, "*.")
	if len(a) > maxName {
		return badName(in, fmt.Sprintf("is %d characters long", len(a)), "use a name of at most 253 characters")
	}
	labels := strings.Split(host, ".")
	if len(labels) < 2 {
		return badName(in, "has only one label", "write the full name, such as "+host+".example.com")
	}
	for _, l := range labels {
		switch {
		case l == "":
			return badName(in, "has an empty label", "remove the doubled or leading dot")
		case len(l) > 63:
			return badName(in, fmt.Sprintf("has a label of %d characters", len(l)), "use labels of at most 63 characters")
		case strings.HasPrefix(l, "-"), strings.HasSuffix(l, "-"):
			return badName(in, "has a label that begins or ends with a hyphen", "remove the hyphen at the edge of the label")
		}
	}
	if allDigits(labels[len(labels)-1]) {
		return badName(in, "looks like a broken IP address", "write a whole address such as 192.0.2.7, or a name whose last label is not a number")
	}
	return notPublicSuffix(in, host)
}

// notPublicSuffix refuses names under which strangers register: com, co.uk, and
// the private part of the list too (github.io), but only where a rule names it.
func notPublicSuffix(in, host string) error {
	suffix, icann := publicsuffix.PublicSuffix(host)
	if suffix == host && (icann || strings.Contains(suffix, ".")) {
		return badName(in, "is a public suffix, under which others register names", "name a host below it, such as www.your-name."+host)
	}
	return nil
}

func allDigits(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' }) < 0
}

// NamePart is part of a name as names are stored, for searching: lower case,
// A-labels. What is no part of a name stays as it is.
func NamePart(s string) string {
	s = strings.ToLower(strings.TrimSpace(s))
	if a, err := idna.ToASCII(s); err == nil {
		return a
	}
	return s
}

// ParseNames parses each and refuses a name that stands twice.
func ParseNames(in []string) ([]Name, error) {
	names := make([]Name, 0, len(in))
	seen := map[Name]string{}
	for _, s := range in {
		n, err := ParseName(s)
		if err != nil {
			return nil, err
		}
		if first, ok := seen[n]; ok {
			return nil, badName(s, fmt.Sprintf("stands twice (it is the same as %q)", first), "give each name once")
		}
		seen[n] = s
		names = append(names, n)
	}
	return names, nil
}

// String is the canonical form: A-labels in lower case, or the IP address.
func (n Name) String() string { return n.s }

// IsZero reports whether n was never parsed.
func (n Name) IsZero() bool { return n.s == "" }

// IsWildcard reports whether the first label is a star.
func (n Name) IsWildcard() bool { return strings.HasPrefix(n.s, "*.") }

// Base is the name without a leading star: where a CA looks for its TXT record.
func (n Name) Base() string { return strings.TrimPrefix(n.s, "*.") }

// IP is the address, or the zero Addr for a DNS name.
func (n Name) IP() netip.Addr {
	ip, _ := netip.ParseAddr(n.s)
	return ip
}

// IsIP reports whether n is an IP address.
func (n Name) IsIP() bool { return n.IP().IsValid() }

// Unicode is the name as people write it, for display only.
func (n Name) Unicode() string {
	u, err := idna.Display.ToUnicode(n.s)
	if err != nil {
		return n.s
	}
	return u
}

// RegisteredDomain is the part that was registered (eTLD+1), on which CAs count
// limits; an IP address is its own.
func (n Name) RegisteredDomain() string {
	if n.IsIP() {
		return n.s
	}
	d, err := publicsuffix.EffectiveTLDPlusOne(n.Base())
	if err != nil {
		return n.Base()
	}
	return d
}

// MarshalText writes the canonical form.
func (n Name) MarshalText() ([]byte, error) { return []byte(n.s), nil }

// UnmarshalText parses.
func (n *Name) UnmarshalText(b []byte) error {
	p, err := ParseName(string(b))
	if err != nil {
		return err
	}
	*n = p
	return nil
}

// Value stores the canonical form.
func (n Name) Value() (driver.Value, error) { return n.s, nil }

// Scan reads what Value stored. The stored form was checked when it was made.
func (n *Name) Scan(v any) error {
	switch v := v.(type) {
	case string:
		n.s = v
	case []byte:
		n.s = string(v)
	default:
		return fmt.Errorf("scan a name from %T", v)
	}
	return nil
}

// SetKey names the exact set of names whatever their order, as CAs do that
// count certificates per exact set.
func SetKey(names []Name) string {
	return strings.Join(Strings(slices.SortedFunc(slices.Values(names), Name.compare)), ",")
}

func (n Name) compare(m Name) int { return strings.Compare(n.s, m.s) }

// Strings are the canonical forms.
func Strings(names []Name) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = n.s
	}
	return out
}

// Covers reports whether a certificate for n serves host: the same name, or a
// wildcard over its first label (RFC 6125 section 6.4.3).
func (n Name) Covers(host Name) bool {
	if n == host {
		return true
	}
	_, parent, ok := strings.Cut(host.s, ".")
	return ok && n.IsWildcard() && n.Base() == parent && !host.IsIP() && !host.IsWildcard()
}
