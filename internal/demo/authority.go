package demo

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/pebble"
	"github.com/certfleet/certfleet/internal/pki"
)

// The profiles of the demo's CA, named as Let's Encrypt names its own.
const (
	classic    = "classic"
	shortlived = "shortlived"
)

// shortLife is how long a certificate of profile shortlived holds here: short
// enough to watch it renew.
const shortLife = 2 * time.Minute

// startAuthority starts a strict Pebble that refuses some good nonces and has
// an alternate chain. The names in gone resolve to nothing.
func startAuthority(h *home, short time.Duration, gone map[string]bool) (*pebble.CA, error) {
	w := &windows{}
	ca, err := pebble.Start(pebble.Options{
		HTTPPort: h.ports.http01, TLSPort: h.ports.tlsalpn01, NonceReject: 5, AlternateRoots: 1,
		Profiles: map[string]time.Duration{classic: 90 * 24 * time.Hour, shortlived: short},
		Resolve: func(name string) []netip.Addr {
			if name == missingName || strings.HasSuffix(name, "."+missingName) || gone[name] {
				return nil
			}
			return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}
		},
		Wrap: w.wrap,
	})
	if err != nil {
		return nil, err
	}
	w.ca.Store(ca)
	return ca, nil
}

// windows gives each short-lived certificate a renewal window (RFC 9773) from a
// fifth to three fifths of its life. Pebble's own is a day wide on both sides.
type windows struct{ ca atomic.Pointer[pebble.CA] }

func (w *windows) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { next.ServeHTTP(&download{rw, w}, r) })
}

// download watches an answer for a certificate on its way out, so that the
// window is there before anybody can ask for it.
type download struct {
	http.ResponseWriter
	windows *windows
}

// Write passes b on.
func (d *download) Write(b []byte) (int, error) {
	if strings.HasPrefix(d.Header().Get("Content-Type"), "application/pem-certificate-chain") {
		d.windows.set(b)
	}
	return d.ResponseWriter.Write(b)
}

func (w *windows) set(chain []byte) {
	list, err := pki.ParseCertificates(chain)
	ca := w.ca.Load()
	if err != nil || ca == nil {
		return
	}
	leaf := list[0]
	life := leaf.NotAfter.Sub(leaf.NotBefore)
	if life > time.Hour {
		return
	}
	ca.SetRenewalInfo(leaf, leaf.NotBefore.Add(life/5), leaf.NotBefore.Add(life*3/5), "") // without it Pebble's own window holds
}

// solver answers dns-01 in the DNS of the demo.
type solver struct{ ca *pebble.CA }

// Present puts the TXT record there.
func (s solver) Present(_ context.Context, c certfleet.Challenge) ([]byte, error) {
	s.ca.AddTXT(c.DNSName(), c.DNSValue())
	return nil, nil
}

// CleanUp takes the TXT record away.
func (s solver) CleanUp(_ context.Context, c certfleet.Challenge, _ []byte) error {
	s.ca.ClearTXT(c.DNSName())
	return nil
}
