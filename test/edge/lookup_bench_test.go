package edge

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/certfleet/certfleet/client"
	"github.com/certfleet/certfleet/internal/porttest"
)

// door is something that answers lookups, and what one cost in each round: the
// CPU of this process, which is the server, its client and nothing else.
type door struct {
	name   string
	url    func(shop string) string
	status int
	header http.Header
	spent  []float64 // microseconds of CPU a request, by round
}

// BenchmarkLookup compares lookups at the manager, over loopback HTTP, with a
// bare net/http handler that answers the same bytes, in interleaved rounds. Run
// it once:
//
//	go test -run '^$' -bench Lookup -benchtime 1x ./test/edge
func BenchmarkLookup(b *testing.B) {
	const names = 200
	h := newHouse(b, nil)
	for _, x := range bundles(b, names) {
		if _, err := h.client.ImportCertificate(b.Context(), client.Import{ChainPEM: string(x.ChainPEM), KeyPEM: string(x.KeyPEM)}); err != nil {
			b.Fatal(err)
		}
	}
	root := h.edge[:len(h.edge)-len("/.well-known/peter_sslers")]
	token := http.Header{"Authorization": {"Bearer " + edgeToken}}
	json := &door{name: "json", url: func(n string) string { return h.edge + "/domain/" + n + "/config.json" }, status: 200, header: token}
	binary := &door{name: "binary", url: func(n string) string { return root + "/v1/edge/names/" + n }, status: 200, header: token}
	unknown := &door{name: "unknown", url: func(n string) string { return h.edge + "/domain/no" + n + "/config.json" }, status: 404, header: token}
	list := []*door{json.bare(b), json, binary.bare(b), binary, unknown}
	for b.Loop() {
		for range rounds {
			for _, d := range list {
				d.round(b, names)
			}
		}
	}
	for i, d := range list {
		b.ReportMetric(median(d.spent), d.name+"-µs")
		if i == 1 || i == 3 {
			ratios := make([]float64, len(d.spent))
			for k := range ratios {
				ratios[k] = d.spent[k] / list[i-1].spent[k]
			}
			b.ReportMetric(median(ratios), d.name+"-times")
		}
	}
}

// bare is a handler that knows nothing but the bytes of one answer.
func (d *door) bare(b *testing.B) *door {
	b.Helper()
	body, res := d.ask(b, http.DefaultClient, shop(0))
	port, giveBack, err := porttest.Take()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(giveBack)
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	server := &http.Server{Addr: addr, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = res.Header["Content-Type"]
		w.Write(body)
	})}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	go server.Serve(ln)
	b.Cleanup(func() { server.Shutdown(context.Background()) })
	return &door{name: "bare-" + d.name, url: func(n string) string { return "http://" + addr + "/" + n }, status: 200}
}

func (d *door) ask(b *testing.B, c *http.Client, name string) ([]byte, *http.Response) {
	q, err := http.NewRequestWithContext(b.Context(), http.MethodGet, d.url(name), nil)
	if err != nil {
		b.Error(err)
		return nil, nil
	}
	q.Header = d.header
	res, err := c.Do(q)
	if err != nil {
		b.Error(err)
		return nil, nil
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != d.status {
		b.Errorf("%s answers %d: %v", d.name, res.StatusCode, err)
		return nil, nil
	}
	return body, res
}

func (d *door) round(b *testing.B, names int) {
	const callers, length = 8, 500 * time.Millisecond
	c := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: callers}}
	defer c.CloseIdleConnections()
	var n atomic.Int64
	var group sync.WaitGroup
	began, before := time.Now(), ownCPU(b)
	for range callers {
		group.Go(func() {
			for time.Since(began) < length && !b.Failed() {
				d.ask(b, c, shop(rand.IntN(names)))
				n.Add(1)
			}
		})
	}
	group.Wait()
	d.spent = append(d.spent, (ownCPU(b)-before)/float64(n.Load()))
}

// ownCPU is the time that this process ran, in microseconds.
func ownCPU(b *testing.B) float64 {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1000
}
