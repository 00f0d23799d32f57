package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/certfleet/certfleet/client"
)

// completer offers words for what is being typed.
type completer = cobra.CompletionFunc

// offers completes with labels that the manager knows; one that does not answer
// soon offers nothing.
func (p *program) offers(most int, labels func(context.Context, *client.Client, string) []string) completer {
	return func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		if most > 0 && len(args) >= most {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := bounded(cmd.Context(), brief)
		defer cancel()
		c, err := p.client(ctx)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var out []string
		for _, l := range labels(ctx, c, begun) {
			if strings.HasPrefix(l, begun) && len(out) < 200 {
				out = append(out, l)
			}
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
}

// manyCertificates completes certificate labels: among all of them when there
// are few, by what is typed when there are many.
func manyCertificates(ctx context.Context, c *client.Client, begun string) []string {
	if begun == "" {
		return first(c.Certificates(ctx, client.CertificateQuery{}), func(x client.Certificate) string { return x.Label })
	}
	return certificateLabels(ctx, c, begun)
}

func (p *program) certificateArg(most int) completer { return p.offers(most, manyCertificates) }

func words(list ...string) completer {
	return cobra.FixedCompletions(list, cobra.ShellCompDirectiveNoFileComp)
}

// flagWords completes a flag with fixed words.
func flagWords(cmd *cobra.Command, flag string, list ...string) {
	cmd.RegisterFlagCompletionFunc(flag, words(list...))
}

func (p *program) completionCommand(root *cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "completion SHELL",
		Short: "Write a script that completes commands, flags and labels",
		Long: `Write a script for bash, zsh, fish or powershell. It completes commands and
flags, and asks the manager for the labels of certificates, targets and the like.`,
		Example: `  certfleet completion bash > /etc/bash_completion.d/certfleet
  certfleet completion zsh > "${fpath[1]}/_certfleet"
  certfleet completion fish > ~/.config/fish/completions/certfleet.fish`,
		Args: args(1, 1, "bash, zsh, fish or powershell"), ValidArgsFunction: words("bash", "zsh", "fish", "powershell"),
	}
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		switch args[0] {
		case "bash":
			return root.GenBashCompletionV2(p.Out, true)
		case "zsh":
			return root.GenZshCompletion(p.Out)
		case "fish":
			return root.GenFishCompletion(p.Out, true)
		case "powershell":
			return root.GenPowerShellCompletionWithDesc(p.Out)
		}
		return &usageError{invalid("use one of bash, zsh, fish, powershell", "shell %q is not known", args[0])}
	}
	return cmd
}

// labelled reads key=value flags into labels.
func labelled(list []string) (map[string]string, error) {
	out := map[string]string{}
	for _, s := range list {
		k, v, ok := strings.Cut(s, "=")
		if !ok || k == "" {
			return nil, invalid("write --label KEY=VALUE, such as --label tenant=acme", "%q is not a label", s)
		}
		if before, twice := out[k]; twice && before != v {
			return nil, invalid("give each label once", "label %s is given twice", k)
		}
		out[k] = v
	}
	if len(out) == 0 {
		return nil, nil
	}
	return out, nil
}

// labelText is how labels are shown.
func labelText(m map[string]string) string {
	var out []string
	for _, k := range sorted(m) {
		out = append(out, fmt.Sprintf("%s=%s", k, m[k]))
	}
	return strings.Join(out, " ")
}
