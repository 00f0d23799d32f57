package lego

import (
	"fmt"
	"os"
	"strings"

	"github.com/certfleet/certfleet/internal/dial"
)

const (
	maxTail  = 16 << 10 // bytes of standard error that are kept
	maxQuote = 1 << 10  // bytes that an error quotes
)

// inherited is all that a child gets of our own environment: the sealing key
// may stand there, and another credential of the same provider.
var inherited = []string{"PATH", "HOME", "LANG", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "no_proxy"}

// environment is the child's, with the secrets opened. Hide takes them out of
// whatever the child says.
func (s *Solver) environment() (env []string, hide *strings.Replacer, err error) {
	for _, name := range inherited {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	for name, value := range s.config.Settings {
		env = append(env, name+"="+value)
	}
	var pairs []string
	for name, ref := range s.config.Env {
		secret, err := dial.Reference(ref)
		if err != nil {
			return nil, nil, fmt.Errorf("open %s for provider %s: %w", name, s.config.Provider, err)
		}
		env = append(env, name+"="+string(secret))
		pairs = append(pairs, string(secret), "["+name+"]")
	}
	return env, strings.NewReplacer(pairs...), nil
}

// quote puts the end of s on one line. It comes after the secrets were taken
// out, so that none is cut in two or wrapped and missed.
func quote(s string) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "?")), " ")
	return strings.ToValidUTF8(s[max(0, len(s)-maxQuote):], "")
}
