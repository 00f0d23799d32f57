package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/client"
)

func (p *program) targetEdges() *cobra.Command {
	cmd := &cobra.Command{
		Use: "edges LABEL", Short: "Ask the servers in front of a target how their caches stand",
		Long:    "Ask every nginx that the target names under edges how its cache stands, or have it\nforget its cache. What the target holds stays as it is. For targets of type redis.",
		Example: "  certfleet targets edges edges\n  certfleet targets edges edges --flush", Args: args(1, 1, "the label of a target"), ValidArgsFunction: p.offers(1, targetLabels),
	}
	flush := cmd.Flags().Bool("flush", false, "have them forget their caches")
	cmd.RunE = func(cmd *cobra.Command, words []string) error { return p.askEdges(cmd.Context(), words[0], *flush) }
	return cmd
}

func (p *program) askEdges(ctx context.Context, label string, flush bool) error {
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	ask := c.Edges
	if flush {
		ask = c.FlushEdges
	}
	b := p.busy("asking the edges of %s", label)
	got, err := ask(ctx, label)
	b.end()
	if err != nil {
		return p.similar(ctx, err, label, targetLabels)
	}
	if err := p.answered(got, func() { p.sayEdges(got) }); err != nil {
		return err
	}
	return edgesProblem(got)
}

func (p *program) sayEdges(got *client.TargetEdges) {
	p.printAll([]string{"EDGE", "STATE", "MODULE", "CACHED", "PROBLEM"}, rows(got.Edges, func(e client.TargetEdge) []string {
		return []string{e.URL, word(e.OK, "ok", "fail"), dash(e.Version), dash(cachedAt(e)), cut(e.Problem, 100)}
	}))
}

// cachedAt is how many names an edge says that it has in its cache.
func cachedAt(e client.TargetEdge) string {
	keys, _ := e.Answer["keys"].(map[string]any)
	if valid, ok := keys["valid"].([]any); ok {
		return fmt.Sprint(len(valid))
	}
	return ""
}

// edgesProblem is the exit status of a question that not every edge answered.
func edgesProblem(got *client.TargetEdges) error {
	failed, advice := 0, ""
	for _, e := range got.Edges {
		if !e.OK {
			failed, advice = failed+1, e.Advice
		}
	}
	switch {
	case got.Problem != "":
		return &certfleet.Error{Kind: certfleet.Unreachable, Msg: got.Problem, Advice: got.Advice}
	case failed > 0:
		return &certfleet.Error{Kind: certfleet.Unreachable, Msg: fmt.Sprintf("%d of %d edges of %s did not do it", failed, len(got.Edges), got.Target), Advice: advice}
	}
	return nil
}
