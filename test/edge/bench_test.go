package edge

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/certfleet/certfleet/internal/trial"
)

const (
	rounds     = 15
	roundTime  = time.Second
	concurrent = 16
)

// contender is one server under load, and what its process spent on it.
type contender struct {
	name  string
	names int // how many are asked for, by chance; none asks for the first
	open  func(b *testing.B, c *contender)
	warm  bool // ask for each name once before the first round
	late  bool // it did not start in time

	addr  string
	pid   int       // whose CPU counts
	spent []float64 // microseconds of CPU a handshake, by round
}

// BenchmarkHandshake compares the CPU time that server processes spend on a full
// TLS 1.3 handshake, in interleaved rounds on the same machine: our module with
// parsed pairs in memory beside one static certificate, then other servers, and
// with CERTFLEET_LONG=1 a hundred thousand names, more than a worker keeps parsed.
// Run it once:
//
//	go test -run '^$' -bench Handshake -benchtime 1x ./test/edge
func BenchmarkHandshake(b *testing.B) {
	for _, group := range []struct {
		name string
		list []*contender
	}{
		{"module", []*contender{static(), blocks(1000), hook(), module(1), module(1000), module(10_000)}},
		{"others", withCaddy([]*contender{static(), preread(), module(1000), byVariable(1000), haproxy(1000), goServer(1000)}, 1000)},
		{"many", withCaddy([]*contender{static(), module(10_000), manyNames(100_000, 10_000), manyNames(100_000, 100_000), goServer(100_000), haproxy(100_000)}, 100_000)},
	} {
		b.Run(group.name, func(b *testing.B) {
			if group.name == "many" && !trial.Long() {
				b.Skip("a hundred thousand names take minutes to make; set CERTFLEET_LONG=1")
			}
			compare(b, group.list)
		})
	}
}

// withCaddy adds Caddy where it is installed.
func withCaddy(list []*contender, names int) []*contender {
	if program, err := exec.LookPath("caddy"); err == nil {
		list = append(list, caddy(program, names))
	}
	return list
}

func compare(b *testing.B, list []*contender) {
	list = opened(b, list)
	reference := list[0]
	inTurn := slices.Clone(list)
	for b.Loop() {
		for range rounds {
			rand.Shuffle(len(inTurn), func(i, j int) { inTurn[i], inTurn[j] = inTurn[j], inTurn[i] })
			for _, c := range inTurn {
				c.round(b)
			}
		}
	}
	for _, c := range list {
		b.ReportMetric(float64(resident(b, c.pid))/1e6, c.name+"-MB")
		b.ReportMetric(median(c.spent), c.name+"-µs")
		b.ReportMetric(median(c.against(reference)), c.name+"-ratio")
	}
}

// opened starts the servers, and leaves out those that did not start in time.
func opened(b *testing.B, list []*contender) []*contender {
	for _, c := range list {
		began := time.Now()
		c.open(b, c)
		b.Logf("%s: ready, or given up, after %v", c.name, time.Since(began).Round(time.Second))
		if c.warm && !c.late {
			c.askForEach(b)
		}
	}
	return slices.DeleteFunc(list, func(c *contender) bool { return c.late })
}

// resident is how much memory a process takes, in bytes.
func resident(b *testing.B, pid int) int {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		b.Fatal(err)
	}
	var size, pages, shared int
	if _, err := fmt.Sscan(string(text), &size, &pages, &shared); err != nil {
		b.Fatal(err)
	}
	return (pages - shared) * os.Getpagesize()
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

// askForEach shakes hands for each name, so that all are parsed.
func (c *contender) askForEach(b *testing.B) {
	b.Helper()
	var next atomic.Int64
	var group sync.WaitGroup
	for range concurrent {
		group.Go(func() {
			for i := next.Add(1) - 1; i < int64(c.names); i = next.Add(1) - 1 {
				if _, err := (hello{name: shop(int(i))}).shake(c.addr); err != nil {
					b.Errorf("%s: %v", c.name, err)
					return
				}
			}
		})
	}
	group.Wait()
}

func (c *contender) round(b *testing.B) {
	b.Helper()
	var n atomic.Int64
	var group sync.WaitGroup
	before, until := cpu(b, c.pid), time.Now().Add(roundTime)
	for range concurrent {
		group.Go(func() {
			for time.Now().Before(until) {
				if _, err := (hello{name: shop(rand.IntN(max(c.names, 1))), version: 0x0304}).shake(c.addr); err != nil {
					b.Errorf("%s: %v", c.name, err)
					return
				}
				n.Add(1)
			}
		})
	}
	group.Wait()
	c.spent = append(c.spent, (cpu(b, c.pid)-before)/float64(n.Load()))
}

func shop(i int) string { return fmt.Sprintf("shop%d.example.com", i) }

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

// cpu is the time that all threads of a process ran, in microseconds.
func cpu(b *testing.B, pid int) (sum float64) {
	b.Helper()
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if len(files) == 0 {
		b.Skip("this kernel does not count run time")
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			b.Fatal(err)
		}
		ns, err := strconv.ParseFloat(strings.Fields(string(text))[0], 64)
		if err != nil {
			b.Fatal(err)
		}
		sum += ns / 1000
	}
	return sum
}

// BenchmarkColdPath is the CPU time of nginx for a handshake whose pair no
// worker has parsed: lookup, parsing and caching included, by where it is found.
func BenchmarkColdPath(b *testing.B) {
	for _, tier := range []string{"dict", "redis-1", "redis-2", "redis-3", "manager"} {
		b.Run(tier, func(b *testing.B) { cold(b, tier) })
	}
}
