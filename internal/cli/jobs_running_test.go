package cli

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet/client"
)

func TestManyJobsAreOneLineForEachKindAndNodeTheLongestFirst(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	j := &client.Jobs{Trouble: []client.TroubledJob{{Kind: "deliveries", ID: 9, Problem: "no room"}}}
	for i := range int64(150) {
		j.Running = append(j.Running, client.RunningJob{Kind: "orders", ID: 1000 + i, Since: now.Add(-time.Second), Node: fmt.Sprintf("web%d/7", i%2)})
	}
	j.Running = append(j.Running, client.RunningJob{Kind: "orders", ID: 3, Since: now.Add(-time.Minute), Node: "web1/7"},
		client.RunningJob{Kind: "windows", ID: 4, Since: now, Node: "web1/7"})

	var said bytes.Buffer
	p := &program{Streams: Streams{Out: &said}, now: func() time.Time { return now }}
	p.sayJobs(j)

	_, now1, _ := strings.Cut(said.String(), "Worked on now\n")
	lines := strings.Split(now1, "\n")
	for i, want := range [][]string{
		{"KIND", "NODE", "JOBS"},
		{"orders", "web1/7", "76", "11:59", "3, 1001, 1003, 1005, 1007, …"},
		{"orders", "web0/7", "75", "1000, 1002, 1004, 1006, 1008, …"},
		{"windows", "web1/7", "1", "4"},
		{""},
		{"Went wrong"},
	} {
		for _, w := range want {
			if !strings.Contains(lines[i], w) {
				t.Errorf("line %d lacks %q: %q", i, w, lines[i])
			}
		}
	}
}
