package fakeca

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const maxBody = 1 << 20

// call is one request.
type call struct {
	ctx         context.Context
	method      string
	url         string
	base        string   // where the client believes the CA to be
	path        []string // without the leading slash, at least one element
	contentType string
	source      string // the client's address
	body        []byte
	endpoint    string
	now         time.Time
}

// id is the number in the path at i, or zero.
func (c *call) id(i int) uint64 {
	if i >= len(c.path) {
		return 0
	}
	n, _ := strconv.ParseUint(c.path[i], 10, 64)
	return n
}

type reply struct {
	status int
	header http.Header
	body   []byte
}

// write encodes one of our own structs, which cannot fail.
func write(status int, v any) reply {
	body, _ := json.Marshal(v)
	return reply{status, http.Header{"Content-Type": {"application/json"}}, body}
}

func (r reply) with(key, value string) reply {
	r.header.Add(key, value)
	return r
}

// Handler serves the CA over HTTP. Without Options.URL it believes itself to be
// where the request went. A dropped connection is http.ErrAbortHandler.
func (ca *CA) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		base := ca.base
		if ca.o.URL == "" {
			base = "http://" + r.Host
			if r.TLS != nil {
				base = "https://" + r.Host
			}
		}
		host, _, err := net.SplitHostPort(r.RemoteAddr)
		if err != nil {
			host = r.RemoteAddr
		}
		a, err := ca.serve(r, base, host)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		for k, v := range a.header {
			w.Header()[k] = v
		}
		w.WriteHeader(a.status)
		w.Write(a.body)
	})
}

// RoundTripper is the CA without sockets; requests come from 192.0.2.1.
func (ca *CA) RoundTripper() http.RoundTripper { return ca.From("192.0.2.1") }

// From is the CA without sockets for a client at an address.
func (ca *CA) From(source string) http.RoundTripper { return line{ca, source} }

type line struct {
	ca     *CA
	source string
}

// RoundTrip answers in the caller's goroutine.
func (l line) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if l.ca.base != r.URL.Scheme+"://"+r.URL.Host {
		return nil, fmt.Errorf("no such host: %s", r.URL.Host)
	}
	a, err := l.ca.serve(r, l.ca.base, l.source)
	if r.Body != nil {
		r.Body.Close()
	}
	if err != nil {
		return nil, err
	}
	body := a.body
	if r.Method == http.MethodHead {
		body = nil
	}
	return &http.Response{
		Status: strconv.Itoa(a.status) + " " + http.StatusText(a.status), StatusCode: a.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: a.header,
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)), Request: r,
	}, nil
}

// serve answers a request; an error means that the connection breaks.
func (ca *CA) serve(r *http.Request, base, source string) (reply, error) {
	c := &call{ctx: r.Context(), method: r.Method, base: base, source: source, contentType: r.Header.Get("Content-Type"), now: ca.o.Now()}
	c.url = base + r.URL.RequestURI()
	c.path = strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	c.endpoint = endpointOf(c.path)
	if r.Body != nil {
		b, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
		if err != nil {
			return reply{}, err
		}
		if c.body = b; len(b) > maxBody {
			return malformed("the request is too large").reply(), nil
		}
	}
	a, err := ca.faulty(c)
	if err != nil {
		return reply{}, err
	}
	if c.method == http.MethodPost || c.endpoint == "newNonce" {
		a.header.Set("Replay-Nonce", ca.nonces.make())
	}
	a.header.Set("Cache-Control", "no-store")
	a.header.Add("Link", "<"+base+`/directory>;rel="index"`)
	return a, nil
}

// endpointOf is the word for where a request went.
func endpointOf(path []string) string {
	last := path[len(path)-1]
	switch path[0] {
	case "directory", "challenge", "authz", "certificate", "unpause":
		return path[0]
	case "nonce":
		return "newNonce"
	case "revoke":
		return "revokeCert"
	case "key-change":
		return "keyChange"
	case "renewal-info":
		return "renewalInfo"
	case "account":
		if last == "new" {
			return "newAccount"
		}
		return "account"
	case "order":
		switch last {
		case "new":
			return "newOrder"
		case "finalize":
			return "finalize"
		}
		return "order"
	}
	return "other"
}

// respond is the answer of a CA without faults.
func (ca *CA) respond(c *call) reply {
	if p := ca.paced(c); p != nil {
		return p.reply()
	}
	switch c.endpoint {
	case "directory":
		return ca.directory(c)
	case "newNonce":
		return reply{map[bool]int{true: 200, false: 204}[c.method == http.MethodHead], http.Header{}, nil}
	case "renewalInfo":
		return ca.orRefuse(ca.renewalInfo(c))
	case "unpause":
		return reply{200, http.Header{"Content-Type": {"text/html"}}, []byte("<p>Here a person lets paused names be tried again.</p>")}
	case "other":
		return notFound("resource").reply()
	}
	if c.method != http.MethodPost {
		return problem(405, "malformed", "method %s is not allowed here", c.method).reply()
	}
	s, p := ca.signed(c)
	if p != nil {
		return p.reply()
	}
	return ca.orRefuse(ca.act(s))
}

func (ca *CA) orRefuse(a reply, p *Problem) reply {
	if p != nil {
		return p.reply()
	}
	return a
}

// act does what a signed request asks for.
func (ca *CA) act(s *session) (reply, *Problem) {
	switch s.endpoint {
	case "newAccount":
		return ca.newAccount(s)
	case "account":
		return ca.account(s)
	case "keyChange":
		return ca.keyChange(s)
	case "newOrder":
		return ca.newOrder(s)
	case "order":
		return ca.order(s)
	case "finalize":
		return ca.finalize(s)
	case "authz":
		return ca.authz(s)
	case "challenge":
		return ca.challenge(s)
	case "certificate":
		return ca.certificate(s)
	}
	return ca.revoke(s)
}

func (ca *CA) directory(c *call) reply {
	profiles := map[string]string{}
	for _, p := range ca.o.Profiles {
		if !ca.vanished(p.Name, c.now) {
			profiles[p.Name] = p.Description
		}
	}
	meta := map[string]any{"termsOfService": c.base + "/terms", "website": c.base, "caaIdentities": []string{"fakeca.test"}, "profiles": profiles}
	if len(ca.o.EAB) > 0 {
		meta["externalAccountRequired"] = true
	}
	return write(200, map[string]any{
		"newNonce": c.base + "/nonce", "newAccount": c.base + "/account/new", "newOrder": c.base + "/order/new",
		"revokeCert": c.base + "/revoke", "keyChange": c.base + "/key-change", "renewalInfo": c.base + "/renewal-info", "meta": meta,
	})
}
