package preflight

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"github.com/certfleet/certfleet"
)

// What a CA does when it fetches an http-01 answer (RFC 8555 section 8.3; the
// numbers are Let's Encrypt's).
const (
	maxRedirects = 10
	maxAnswer    = 1 << 10 // bytes; a key authorization has under 200
	pingToken    = "ping"
	pong         = `{"message": "pong"}`
)

// fetch gets the challenge path from one address of the name.
func (l *look) fetch(ctx context.Context, addr netip.Addr) sight {
	v := &visit{look: l, addr: addr}
	client := &http.Client{Transport: v.transport(), CheckRedirect: v.redirect, Timeout: fetchTime}
	defer client.CloseIdleConnections()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+bracketed(l.Name)+certfleet.ChallengePath+l.token(), nil)
	if err != nil {
		return sight{addr, unknown, "cannot be asked: " + err.Error()}
	}
	r.Header.Set("User-Agent", certfleet.UserAgent+"/"+certfleet.Release)
	resp, err := client.Do(r)
	if err != nil {
		return v.failed(err)
	}
	defer resp.Body.Close()
	return v.read(resp)
}

func bracketed(n certfleet.Name) string {
	if n.IsIP() && n.IP().Is6() {
		return "[" + n.String() + "]"
	}
	return n.Base()
}

func (l *look) token() string {
	if l.Token == "" {
		return pingToken
	}
	return l.Token
}

func (l *look) expected() string {
	if l.Answer == "" {
		return pong
	}
	return l.Answer
}

// visit is one fetch, with its redirects.
type visit struct {
	*look
	addr netip.Addr // where the name itself is asked
	hops []string   // where redirects led

	mu   sync.Mutex
	met  bool  // a connection came about, guarded by mu
	miss error // why none did, guarded by mu
}

// transport takes any certificate, as a CA must: whoever asks for one may have
// none that is valid. Nothing secret is sent or believed.
func (v *visit) transport() *http.Transport {
	return &http.Transport{
		DialContext:            v.dial,
		TLSClientConfig:        &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10},
		DisableKeepAlives:      true,
		MaxResponseHeaderBytes: 16 << 10,
	}
}

// dial leads the name itself to the one address, and others to where they are.
func (v *visit) dial(ctx context.Context, network, at string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(at)
	if err != nil {
		return nil, err
	}
	addr := v.addr
	if canonical(host) != v.Name.Base() {
		if addr, err = v.find(ctx, host); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	conn, err := v.Dial(ctx, network, net.JoinHostPort(addr.String(), v.port(port)))
	v.mu.Lock()
	defer v.mu.Unlock()
	v.met, v.miss = v.met || err == nil, err
	return conn, err
}

// unmet is why no connection came about, or nil when one did. The transport may
// give up before its dialer does.
func (v *visit) unmet(err error) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case v.met:
		return nil
	case v.miss != nil:
		return v.miss
	}
	return err
}

// find is an address of another host, of the same family where there is one.
func (v *visit) find(ctx context.Context, host string) (netip.Addr, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip, nil
	}
	addrs, err := v.DNS.Addresses(ctx, host)
	if err != nil {
		return netip.Addr{}, err
	}
	if len(addrs) == 0 {
		return netip.Addr{}, fmt.Errorf("%s has no address", host)
	}
	for _, a := range addrs {
		if a.Is4() == v.addr.Is4() {
			return a, nil
		}
	}
	return addrs[0], nil
}

func (v *visit) port(port string) string {
	if port == "443" {
		return strconv.Itoa(v.HTTPSPort)
	}
	return strconv.Itoa(v.HTTPPort)
}

// errRefused is a redirect that a CA does not follow.
var errRefused = errors.New("a CA does not follow")

func (v *visit) redirect(r *http.Request, via []*http.Request) error {
	u := r.URL
	v.hops = append(v.hops, shown(u))
	switch {
	case len(via) > maxRedirects:
		return fmt.Errorf("redirects more than %d times, which %w", maxRedirects, errRefused)
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("redirects to %s, a scheme that %w", shown(u), errRefused)
	case u.Port() != "" && u.Port() != "80" && u.Port() != "443":
		return fmt.Errorf("redirects to %s, a port that %w", shown(u), errRefused)
	case v.again(u, via):
		return fmt.Errorf("redirects to %s again and again, which %w", shown(u), errRefused)
	}
	return nil
}

func (v *visit) again(u *url.URL, via []*http.Request) bool {
	for _, r := range via {
		if r.URL.String() == u.String() {
			return true
		}
	}
	return false
}

// shown is a URL for people, without what may be secret in it.
func shown(u *url.URL) string {
	s := (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
	return s[:min(len(s), 150)]
}

// failed tells a connection that did not come about from an answer that is wrong.
func (v *visit) failed(err error) sight {
	if ue, ok := errors.AsType[*url.Error](err); ok {
		err = ue.Err
	}
	switch {
	case errors.Is(err, errRefused):
		return sight{v.addr, wrong, err.Error()}
	case len(v.hops) > 0:
		return sight{v.addr, wrong, fmt.Sprintf("redirects to %s: %s", v.hops[len(v.hops)-1], reason(err))}
	}
	if miss := v.unmet(err); miss != nil {
		return missed(v.addr, miss)
	}
	return sight{v.addr, wrong, "takes the connection and gives no HTTP answer: " + reason(err)}
}

func (v *visit) read(resp *http.Response) sight {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return sight{v.addr, wrong, "breaks off its answer: " + reason(err)}
	}
	got := strings.TrimRight(string(body), " \t\r\n")
	if resp.StatusCode == http.StatusOK && got == v.expected() {
		return sight{addr: v.addr, how: ours}
	}
	by := ""
	if len(v.hops) > 0 {
		by = " after a redirect to " + v.hops[len(v.hops)-1]
	}
	if resp.StatusCode != http.StatusOK {
		return sight{v.addr, wrong, fmt.Sprintf("answers with status %d%s", resp.StatusCode, by)}
	}
	return sight{v.addr, wrong, fmt.Sprintf("answers with something that is not ours%s: %.60q", by, got)}
}
