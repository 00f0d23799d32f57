package edge

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/target/redis"
)

const (
	rounds     = 15
	roundTime  = time.Second
	concurrent = 16
)

// contender is one nginx under load, and what its worker spent on it.
type contender struct {
	name   string
	rig    *rig
	names  int
	worker int
	spent  []float64 // microseconds of CPU a handshake, by round
}

// BenchmarkHandshake compares the CPU time that the server process spends on a
// full TLS 1.3 handshake: one static certificate, and our module with parsed
// pairs in memory, in interleaved rounds on the same machine. Run it once:
//
//	go test -run '^$' -bench Handshake -benchtime 1x ./test/edge
func BenchmarkHandshake(b *testing.B) {
	list := []*contender{{name: "static"}, {name: "hook", names: 1}, {name: "warm-1000", names: 1000}, {name: "warm-10000", names: 10000}}
	for _, c := range list {
		c.start(b)
	}
	for b.Loop() {
		for range rounds {
			rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
			for _, c := range list {
				c.round(b)
			}
		}
	}
	static := list[slices.IndexFunc(list, func(c *contender) bool { return c.name == "static" })]
	for _, c := range list {
		b.ReportMetric(median(c.spent), c.name+"-µs")
		b.ReportMetric(median(c.against(static)), c.name+"-ratio")
	}
}

// against is the capacity beside another's, round by round, so that what else
// the machine does weighs on both.
func (c *contender) against(other *contender) []float64 {
	ratios := make([]float64, len(c.spent))
	for i := range ratios {
		ratios[i] = other.spent[i] / c.spent[i]
	}
	return ratios
}

func (c *contender) start(b *testing.B) {
	b.Helper()
	s := settings{Options: "ttl = 3600, lru_size = 20000", Dict: "64m"}
	switch c.name {
	case "static":
		s = settings{Plain: true}
	case "hook": // what the hook alone costs
		s = settings{Plain: true, Serve: "local nothing = 1"}
	}
	c.rig = start(b, s)
	if c.names > 1 {
		c.fill(b)
	}
	c.worker = workerOf(b, c.rig.cmd.Process.Pid)
}

// fill delivers the names and shakes hands for each, so that all are parsed.
func (c *contender) fill(b *testing.B) {
	b.Helper()
	for from := 0; from < c.names; from += 500 {
		var bundles []certfleet.Bundle
		for i := from; i < from+500; i++ {
			bundles = append(bundles, c.rig.bundle(int64(i+1), fmt.Sprintf("shop%d.example.com", i)))
		}
		c.rig.deliver(bundles...)
	}
	for i := range c.names {
		c.rig.served(fmt.Sprintf("shop%d.example.com", i))
	}
}

func (c *contender) round(b *testing.B) {
	b.Helper()
	var n atomic.Int64
	var group sync.WaitGroup
	before, until := cpu(b, c.worker), time.Now().Add(roundTime)
	for range concurrent {
		group.Go(func() {
			for time.Now().Before(until) {
				name := fmt.Sprintf("shop%d.example.com", rand.IntN(max(c.names, 1)))
				if _, err := (hello{name: name, version: 0x0304}).shake(c.rig.TLS); err != nil {
					b.Errorf("%s: %v", c.name, err)
					return
				}
				n.Add(1)
			}
		})
	}
	group.Wait()
	c.spent = append(c.spent, (cpu(b, c.worker)-before)/float64(n.Load()))
}

func median(list []float64) float64 {
	s := slices.Sorted(slices.Values(list))
	return s[len(s)/2]
}

// workerOf finds the one worker of a master, which listens before it forks.
func workerOf(b *testing.B, master int) int {
	b.Helper()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if pid := childOf(master); pid != 0 {
			return pid
		}
	}
	b.Skip("the worker of nginx is not to be found in /proc")
	return 0
}

func childOf(parent int) int {
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, f := range files {
		text, _ := os.ReadFile(f)
		_, rest, _ := strings.Cut(string(text), ") ") // after the program's name: state, parent
		if fields := strings.Fields(rest); len(fields) > 1 && fields[1] == strconv.Itoa(parent) {
			pid, _ := strconv.Atoi(strings.Split(f, "/")[2])
			return pid
		}
	}
	return 0
}

// cpu is the time that a process ran, in microseconds.
func cpu(b *testing.B, pid int) float64 {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", pid))
	if err != nil {
		b.Skipf("this kernel does not count run time: %v", err)
	}
	ns, err := strconv.ParseFloat(strings.Fields(string(text))[0], 64)
	if err != nil {
		b.Fatal(err)
	}
	return ns / 1000
}

// BenchmarkColdPath is the CPU time of nginx for a handshake whose pair only
// Redis has: lookup, parsing and caching included.
func BenchmarkColdPath(b *testing.B) {
	for layout := 1; layout <= 3; layout++ {
		b.Run(fmt.Sprintf("layout%d", layout), func(b *testing.B) {
			r := start(b, settings{Options: fmt.Sprintf("layout = %d, subscribe = false", layout), Dict: "64m", Redis: redis.Config{Layout: layout}})
			bundles := make([]certfleet.Bundle, b.N)
			for i := range bundles {
				bundles[i] = r.bundle(int64(i+1), fmt.Sprintf("shop%d.example.com", i))
			}
			r.deliver(bundles...)
			worker := workerOf(b, r.cmd.Process.Pid)
			before := cpu(b, worker)
			b.ResetTimer()
			for _, x := range bundles {
				r.served(x.Certificate)
			}
			b.ReportMetric((cpu(b, worker)-before)/float64(b.N), "cpu-µs/op")
		})
	}
}
