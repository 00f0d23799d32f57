package porter

import (
	"strings"

	"github.com/certfleet/certfleet"
)

// renewal are the settings of a renewal/*.conf: the keys of its first part and
// of [renewalparams]. Deeper sections ([[webroot_map]]) are left out.
type renewal map[string]string

func parseRenewal(conf []byte) renewal {
	r, depth := renewal{}, 0
	for line := range strings.Lines(string(conf)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			depth = len(line) - len(strings.TrimLeft(line, "["))
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || depth > 1 || strings.HasPrefix(line, "#") {
			continue
		}
		r[strings.TrimSpace(key)] = strings.Trim(strings.TrimSpace(value), `"'`)
	}
	return r
}

// list reads "dns-01, http-01," and a single word alike.
func (r renewal) list(key string) []string {
	return strings.FieldsFunc(r[key], func(c rune) bool { return c == ',' || c == ' ' })
}

// word is a setting; certbot writes None for one that is not set.
func (r renewal) word(keys ...string) string {
	for _, k := range keys {
		if v := r[k]; v != "" && v != "None" {
			return v
		}
	}
	return ""
}

func (l *Lineage) settings(r renewal) {
	l.Server, l.Account, l.Authenticator = r.word("server"), r.word("account"), r.word("authenticator")
	l.ReuseKey = r["reuse_key"] == "True"
	l.Profile = r.word("required_profile", "preferred_profile")
	if l.KeyType == "" {
		l.KeyType = r.keyType()
	}
	l.Challenge = r.challenge()
	if l.Challenge == "" {
		l.problem("its settings (authenticator %q) do not tell how it proves its names", l.Authenticator)
	}
}

func (r renewal) keyType() certfleet.KeyType {
	words := map[string]string{"secp256r1": "p256", "secp384r1": "p384"}
	name := words[r.word("elliptic_curve")]
	if r["key_type"] == "rsa" {
		name = "rsa2048"
		if size := r.word("rsa_key_size"); size != "" {
			name = "rsa" + size
		}
	}
	if name == "" {
		return ""
	}
	k, err := certfleet.ParseKeyType(name)
	if err != nil {
		return ""
	}
	return k
}

// challenge follows pref_challs, and else what the authenticator can do.
func (r renewal) challenge() certfleet.ChallengeType {
	for _, s := range r.list("pref_challs") {
		if c, err := certfleet.ParseChallengeType(s); err == nil && c != "" {
			return c
		}
	}
	switch a := r["authenticator"]; {
	case a == "webroot", a == "standalone", a == "nginx", a == "apache":
		return certfleet.HTTP01
	case strings.HasPrefix(a, "dns-"), strings.Contains(a, ":dns-"):
		return certfleet.DNS01
	}
	return ""
}
