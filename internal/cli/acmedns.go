package cli

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/app"
)

func (p *program) acmednsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "acmedns",
		Short: "Look after names whose challenges are at an acme-dns server",
		Long: `Give names accounts at an acme-dns server, see whether their CNAMEs lead there, and
list the CNAMEs that their owners have to set. It works on the database of this
host; the server is that of a solver of type acmedns in the configuration.`,
		Example: "  certfleet acmedns ensure shop.example blog.example\n  certfleet acmedns audit shop.example\n  certfleet acmedns export --csv shop.example > cnames.csv",
	}
	return p.group(cmd, nil, p.acmednsEnsure(), p.acmednsImport(), p.acmednsAudit(), p.acmednsExport())
}

// delegation is one name and the CNAME it needs.
type delegation struct {
	app.Delegation
	Problem string `json:"problem,omitempty"`
	Advice  string `json:"advice,omitempty"`
}

func delegationOf(d app.Delegation) delegation {
	out := delegation{Delegation: d}
	if d.Err != nil {
		out.Problem, out.Advice = d.Err.Error(), certfleet.AdviceOf(d.Err)
	}
	return out
}

func (p *program) sayDelegations(all []app.Delegation, asCSV bool) error {
	var out []delegation
	var failed []error
	for _, d := range all {
		out = append(out, delegationOf(d))
		if d.Err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", d.Name, d.Err))
		}
	}
	if asCSV {
		if err := p.csv(out); err != nil {
			return err
		}
		return joined(failed)
	}
	err := list(p, values(out, nil), 0, []string{"NAME", "STATE", "RECORD", "CNAME TO"}, func(d delegation) []string {
		return []string{d.Name, word(d.Problem != "", "failed", word(d.New, "new", "known")), d.Record, dash(d.Target)}
	})
	return errors.Join(err, joined(failed))
}

func (p *program) csv(all []delegation) error {
	w := csv.NewWriter(p.Out)
	w.Write([]string{"name", "record", "type", "target"})
	for _, d := range all {
		if d.Target != "" {
			w.Write([]string{d.Name, d.Record, "CNAME", d.Target})
		}
	}
	w.Flush()
	return w.Error()
}

// delegated opens the solver and the names that were given.
func (p *program) delegated(ctx context.Context, label string, words []string) (*app.ACMEDNS, []certfleet.Name, error) {
	names, err := certfleet.ParseNames(words)
	if err != nil {
		return nil, nil, err
	}
	a, err := p.open(ctx)
	if err != nil {
		return nil, nil, err
	}
	s, err := a.ACMEDNS(label)
	return s, names, err
}

func solverFlag(cmd *cobra.Command) *string {
	return cmd.Flags().String("solver", "", "the `LABEL` of the solver (default the only one of its type)")
}

func (p *program) acmednsEnsure() *cobra.Command {
	cmd := &cobra.Command{
		Use: "ensure NAME...", Short: "Give each name an account, and say which CNAME it needs", Long: "Give each name an account at the acme-dns server, unless it has one, and say which\nCNAME its owner has to set. A wildcard shares its parent's.",
		Example: "  certfleet acmedns ensure shop.example blog.example\n  xargs certfleet acmedns ensure --json < names.txt", Args: args(1, -1, "names"),
	}
	solver := solverFlag(cmd)
	asCSV := cmd.Flags().Bool("csv", false, "answer as CSV")
	cmd.RunE = func(cmd *cobra.Command, words []string) error {
		s, names, err := p.delegated(cmd.Context(), *solver, words)
		if err != nil {
			return err
		}
		b := p.busy("asking the acme-dns server")
		rows := s.Ensure(cmd.Context(), names)
		b.end()
		return p.sayDelegations(rows, *asCSV)
	}
	return cmd
}

func (p *program) acmednsExport() *cobra.Command {
	cmd := &cobra.Command{
		Use: "export NAME...", Short: "List the CNAMEs to set, for names that have accounts", Long: "List the CNAMEs that the owners of names have to set, as far as the names have\naccounts. Nothing is asked of any server.",
		Example: "  certfleet acmedns export --csv shop.example blog.example > cnames.csv", Args: args(1, -1, "names"),
	}
	solver := solverFlag(cmd)
	asCSV := cmd.Flags().Bool("csv", false, "answer as CSV")
	cmd.RunE = func(cmd *cobra.Command, words []string) error {
		s, names, err := p.delegated(cmd.Context(), *solver, words)
		if err != nil {
			return err
		}
		rows, err := s.Rows(cmd.Context(), names)
		if err != nil {
			return err
		}
		return p.sayDelegations(rows, *asCSV)
	}
	return cmd
}

func (p *program) acmednsImport() *cobra.Command {
	cmd := &cobra.Command{
		Use: "import FILE", Short: "Take over credentials that exist", Long: "Take over the credentials in a JSON file as acme-dns-client, lego and certbot's hook\nkeep them. Names that have an account keep it unless --replace is given.",
		Example: "  certfleet acmedns import acme-dns-accounts.json", Args: args(1, 1, "a file"),
	}
	solver := solverFlag(cmd)
	replace := cmd.Flags().Bool("replace", false, "also where a name has another account")
	cmd.RunE = func(cmd *cobra.Command, words []string) error {
		s, _, err := p.delegated(cmd.Context(), *solver, nil)
		if err != nil {
			return err
		}
		rows, err := s.ImportFile(cmd.Context(), words[0], *replace)
		if err != nil {
			return err
		}
		return p.sayDelegations(rows, false)
	}
	return cmd
}

func (p *program) acmednsAudit() *cobra.Command {
	cmd := &cobra.Command{
		Use: "audit NAME...", Short: "See whether the CNAMEs lead where they should", Long: "Ask every authoritative server whether each name's CNAME leads to its account, and\nwhat TXT values are at its end. Nothing is changed by this.",
		Example: "  certfleet acmedns audit shop.example", Args: args(1, -1, "names"),
	}
	solver := solverFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, words []string) error {
		s, names, err := p.delegated(cmd.Context(), *solver, words)
		if err != nil {
			return err
		}
		b := p.busy("asking the name servers")
		found := s.Audit(cmd.Context(), names)
		b.end()
		err = list(p, values(found, nil), 0, []string{"NAME", "STATE", "CNAME", "TXT", "PROBLEM", "ADVICE"}, func(f app.DelegationFinding) []string {
			return []string{f.Name, word(f.Problem == "", "ok", "fail"), cut(f.CNAME, 70), cut(f.TXT, 70), cut(f.Problem, 100), f.Advice}
		})
		for _, f := range found {
			if f.Problem != "" && err == nil {
				return errSilent // the table has said it
			}
		}
		return err
	}
	return cmd
}
