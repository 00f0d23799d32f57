package redis

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/dial"
	goredis "github.com/redis/go-redis/v9"
)

// Edge is an nginx whose caches are told over HTTP what changed.
type Edge struct {
	// URL of the server's root, such as https://edge1.example.com:8443.
	URL string `json:"url"`
	// Path of the expire route; empty means /.peter_sslers/nginx/shared_cache/expire.
	Path string `json:"path,omitempty"`
	// StatusPath of the status route; empty means that beside the expire route.
	StatusPath string `json:"status_path,omitempty"`
	// User and Password for basic authentication; Password as file:/path or env:NAME.
	User     string `json:"user,omitempty"`
	Password string `json:"password,omitempty"`
	// CA is a PEM file to trust; empty means the system's.
	CA string `json:"ca,omitempty"`
	// Insecure accepts any certificate, for edges that show their fallback one.
	Insecure bool `json:"insecure,omitempty"`
	// Timeout of one request; zero means 2s.
	Timeout certfleet.Duration `json:"timeout,omitempty"`
}

const (
	expirePath    = "/.peter_sslers/nginx/shared_cache/expire"
	edgeTimeout   = 2 * time.Second
	oneByOne      = 20      // names expired singly; more of them flush the edge
	maxEdgeAnswer = 1 << 20 // bytes; a status lists up to 1024 names of each kind
)

// EdgeResult is what telling one edge came to.
type EdgeResult struct {
	URL     string `json:"url"`
	Server  string `json:"server,omitempty"`  // the version that answered
	Expired string `json:"expired,omitempty"` // names, or all
	Problem string `json:"problem,omitempty"`
	Err     error  `json:"-"`
}

type edge struct {
	Edge
	client   *http.Client
	password certfleet.Secret
}

func settleEdges(list []Edge) ([]edge, error) {
	edges := make([]edge, 0, len(list))
	for _, e := range list {
		u, err := url.Parse(e.URL)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil {
			return nil, invalid("write https://host:port, with user and password apart", nil, "the url of an edge cannot be used")
		}
		x := edge{Edge: e}
		x.URL, x.Path = strings.TrimRight(e.URL, "/"), cmp.Or(strings.TrimRight(e.Path, "/"), expirePath)
		x.StatusPath = cmp.Or(strings.TrimRight(e.StatusPath, "/"), beside(x.Path))
		if e.Password != "" {
			if x.password, err = dial.Reference(e.Password); err != nil {
				return nil, fmt.Errorf("password of edge %s: %w", x.URL, err)
			}
		}
		if x.client, err = edgeClient(e); err != nil {
			return nil, err
		}
		edges = append(edges, x)
	}
	return edges, nil
}

func edgeClient(e Edge) (*http.Client, error) {
	conf := &tls.Config{InsecureSkipVerify: e.Insecure}
	if e.CA != "" {
		pool, err := readCA(e.CA)
		if err != nil {
			return nil, err
		}
		conf.RootCAs = pool
	}
	return &http.Client{
		Timeout:       time.Duration(cmp.Or(e.Timeout, certfleet.Duration(edgeTimeout))),
		Transport:     &http.Transport{TLSClientConfig: conf, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// Expire tells all edges at once that the names changed, and waits for each.
// Many names flush the whole cache of an edge, as a module does that is known to
// keep single names (peter_sslers 0.5.0 answers success and deletes nothing).
func (t *Target) Expire(ctx context.Context, names []string) []EdgeResult {
	results := make([]EdgeResult, len(t.edges))
	var group sync.WaitGroup
	for i, e := range t.edges {
		group.Go(func() { results[i] = e.expire(ctx, names) })
	}
	group.Wait()
	return results
}

// hosts leaves out addresses: no client names one in a handshake (RFC 6066 section
// 3), so no edge keeps one, and ours refuses to expire it.
func hosts(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool {
		_, err := netip.ParseAddr(n)
		return err == nil
	})
}

func (e edge) expire(ctx context.Context, names []string) EdgeResult {
	names = hosts(names)
	r := EdgeResult{URL: e.URL, Expired: "all"}
	if len(names) <= oneByOne {
		if r = e.expireEach(ctx, names); r.Err == nil && r.Expired != "all" {
			return r
		}
	}
	if r.Err == nil {
		r.Server, r.Err = e.ask(ctx, "/all")
	}
	if r.Err != nil {
		r.Problem = r.Err.Error()
	}
	return r
}

// expireEach answers Expired "all" when the edge must be flushed instead.
func (e edge) expireEach(ctx context.Context, names []string) EdgeResult {
	r := EdgeResult{URL: e.URL, Expired: strings.Join(names, " ")}
	for _, n := range names {
		if r.Server, r.Err = e.ask(ctx, "/domain/"+n); r.Err != nil {
			return r
		}
		if strings.HasPrefix(r.Server, "0.") {
			r.Expired = "all"
			return r
		}
	}
	return r
}

// ask sends one request to the expire route and answers the version of the module
// there.
func (e edge) ask(ctx context.Context, route string) (string, error) {
	a := e.get(ctx, e.Path+route)
	return a.Version, a.Err
}

// tell publishes what changed and asks the edges; one that was not reached is a
// problem of every bundle, since it may serve an old pair until its cache ends.
func (t *Target) tell(ctx context.Context, db goredis.UniversalClient, names []string, receipts []certfleet.Receipt) {
	results, err := t.spread(ctx, db, names)
	state, _ := json.Marshal(map[string]any{"edges": results})
	for i := range receipts {
		if receipts[i].Err == nil {
			receipts[i].Err = err
			if len(results) > 0 {
				receipts[i].State = state
			}
		}
	}
}

// spread publishes names and tells the edges.
func (t *Target) spread(ctx context.Context, db goredis.UniversalClient, names []string) ([]EdgeResult, error) {
	err := t.publish(ctx, db, names)
	results := t.Expire(ctx, names)
	var unreached []error
	for _, r := range results {
		unreached = append(unreached, r.Err)
	}
	if e := errors.Join(unreached...); e != nil {
		err = &certfleet.Error{Kind: certfleet.Unreachable, Msg: "it is in Redis, but not every edge was told: " + e.Error(), Advice: "start the edge, or take it off the target", Err: e}
	}
	return results, err
}

// perMessage bounds how many names one message carries.
const perMessage = 200

func (t *Target) publish(ctx context.Context, db goredis.UniversalClient, names []string) error {
	p := db.Pipeline()
	for len(names) > 0 {
		n := min(len(names), perMessage)
		announce.EvalSha(ctx, p, []string{t.changesKey()}, t.channel(), strings.Join(names[:n], " "))
		names = names[n:]
	}
	_, err := p.Exec(ctx)
	return t.explain(err)
}
