package acmedns

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/certfleet/certfleet"
)

// Formats are what Export writes: csv and json for programs, zone for a BIND
// zone file.
var Formats = []string{"csv", "json", "zone"}

// Export writes the CNAMEs to set. It holds no secret.
func Export(w io.Writer, format string, rows []Row) error {
	switch format {
	case "csv":
		return exportCSV(w, rows)
	case "json":
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(append([]Row{}, rows...))
	case "zone":
		for _, r := range rows {
			if _, err := fmt.Fprintf(w, "%s IN CNAME %s\n", r.Record, r.Target); err != nil {
				return err
			}
		}
		return nil
	}
	return &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf("format %q is not known", format), Advice: "use one of " + strings.Join(Formats, ", ")}
}

func exportCSV(w io.Writer, rows []Row) error {
	c := csv.NewWriter(w)
	c.Write([]string{"name", "record", "target"})
	for _, r := range rows {
		c.Write([]string{r.Name, r.Record, r.Target})
	}
	c.Flush()
	return c.Error()
}

const maxImport = 64 << 20 // bytes; about 200,000 accounts

// Import keeps the accounts of a JSON file as acme-dns-client, lego and
// certbot's acme-dns hook write it: an object from domain to account. It reads
// the whole file before it keeps the first. A name that has another account
// already is refused in its row, unless replace is set.
func (s *Solver) Import(ctx context.Context, r io.Reader, replace bool) ([]Row, error) {
	found, err := parse(r)
	if err != nil {
		return nil, err
	}
	rows := make([]Row, len(found))
	for i, f := range found {
		rows[i] = s.keep(ctx, f.name, f.account, replace)
	}
	return rows, nil
}

func (s *Solver) keep(ctx context.Context, name certfleet.Name, c Credential, replace bool) Row {
	have, ok, err := s.accounts.Get(ctx, name)
	if err != nil {
		return failed(name, fmt.Errorf("open the acme-dns account of %s: %w", name, err))
	}
	if ok && have.FullDomain != c.FullDomain && !replace {
		return failed(name, &certfleet.Error{Kind: certfleet.Conflict, Msg: fmt.Sprintf("%s has an acme-dns account already, %s", name, have.FullDomain), Advice: "say --replace if the CNAME points to the imported one"})
	}
	if err := s.accounts.Put(ctx, name, c); err != nil {
		return failed(name, fmt.Errorf("keep the acme-dns account of %s: %w", name, err))
	}
	row := newRow(name, c)
	row.New = !ok
	return row
}

type imported struct {
	name    certfleet.Name
	account Credential
}

func parse(r io.Reader) ([]imported, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxImport))
	if err != nil {
		return nil, fmt.Errorf("read acme-dns accounts: %w", err)
	}
	var file map[string]wire
	if json.Unmarshal(b, &file) != nil { // whose error could quote a password
		return nil, badFile("the file is not a JSON object of acme-dns accounts", "give the file that acme-dns-client, lego or certbot's hook keeps, such as acmedns.json")
	}
	accounts := map[certfleet.Name]Credential{}
	for domain, w := range file {
		name, err := certfleet.ParseName(strings.TrimPrefix(strings.TrimPrefix(domain, "_acme-challenge."), "*."))
		if err != nil {
			return nil, err
		}
		if f := w.missing(); f != "" {
			return nil, badFile(fmt.Sprintf("the account of %s has no %s", name, f), "complete it, or take it out of the file")
		}
		if w.Server != "" && checkURL(w.Server) != nil {
			return nil, badFile(fmt.Sprintf("the account of %s has a server_url that is no URL", name), "correct it in the file")
		}
		if other, ok := accounts[name]; ok && other.FullDomain != w.FullDomain {
			return nil, badFile(fmt.Sprintf("%s stands twice with different accounts", name), "leave the one that the CNAME points to")
		}
		accounts[name] = w.credential()
	}
	return sorted(accounts), nil
}

func badFile(msg, advice string) error {
	return &certfleet.Error{Kind: certfleet.Invalid, Msg: msg, Advice: advice}
}

func sorted(accounts map[certfleet.Name]Credential) []imported {
	out := make([]imported, 0, len(accounts))
	for name, c := range accounts {
		out = append(out, imported{name, c})
	}
	slices.SortFunc(out, func(a, b imported) int { return strings.Compare(a.name.String(), b.name.String()) })
	return out
}
