package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/certfleet/certfleet/client"
)

// someIDs is how many ids a line of what is worked on names; --json has all.
const someIDs = 5

// byNode puts what is worked on into one line for each kind and node, which
// begins with the longest: a node has up to some hundred jobs at a time, and
// what went wrong, below, has to stay in sight.
func byNode(running []client.RunningJob) [][]client.RunningJob {
	type place struct{ kind, node string }
	at := map[place]int{}
	var out [][]client.RunningJob
	for _, r := range slices.SortedStableFunc(slices.Values(running), longest) {
		k := place{r.Kind, r.Node}
		i, known := at[k]
		if !known {
			i = len(out)
			at[k], out = i, append(out, nil)
		}
		out[i] = append(out[i], r)
	}
	return out
}

func longest(a, b client.RunningJob) int {
	return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.ID, b.ID))
}

// runningRow says of jobs of one kind on one node how many they are, since when
// the longest is worked on, and which those are that take longest.
func (p *program) runningRow(jobs []client.RunningJob) []string {
	var ids []string
	for _, r := range jobs[:min(len(jobs), someIDs)] {
		ids = append(ids, fmt.Sprint(r.ID))
	}
	if len(jobs) > someIDs {
		ids = append(ids, "…")
	}
	return []string{jobs[0].Kind, jobs[0].Node, fmt.Sprint(len(jobs)), p.when(jobs[0].Since), strings.Join(ids, ", ")}
}
