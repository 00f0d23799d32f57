package app

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/solver/acmedns"
)

// Delegation is one name and the CNAME that its owner has to set.
type Delegation = acmedns.Row

// DelegationFinding is what a live look at one name's delegation showed.
type DelegationFinding = acmedns.Finding

// ACMEDNS is a solver of type acmedns, for what people do with it.
type ACMEDNS struct{ *acmedns.Solver }

// ACMEDNS finds the solver of type acmedns by label, or the only one there is.
func (a *App) ACMEDNS(label string) (*ACMEDNS, error) {
	var found []string
	for _, s := range a.Config.Solvers {
		if s.Type == "acmedns" && (label == "" || s.Label == label) {
			found = append(found, s.Label)
		}
	}
	switch {
	case len(found) == 0 && label != "":
		return nil, &certfleet.Error{Kind: certfleet.NotFound, Msg: fmt.Sprintf("there is no solver %q of type acmedns", label), Advice: "add it under solvers in the configuration"}
	case len(found) == 0:
		return nil, &certfleet.Error{Kind: certfleet.NotFound, Msg: "no solver of type acmedns is configured", Advice: "add one under solvers in the configuration: its label, type: acmedns, and server: with the URL of the acme-dns API"}
	case len(found) > 1:
		return nil, &certfleet.Error{Kind: certfleet.Invalid, Msg: "several solvers of type acmedns are configured", Advice: "name one with --solver: " + strings.Join(found, ", ")}
	}
	solver, err := a.solvers.find(certfleet.DNS01, found[0])
	if err != nil {
		return nil, err
	}
	return &ACMEDNS{solver.(*acmedns.Solver)}, nil
}

// ImportFile takes over the credentials in a file; see acmedns.Solver.Import.
func (s *ACMEDNS) ImportFile(ctx context.Context, path string, replace bool) ([]Delegation, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, &certfleet.Error{Kind: certfleet.NotFound, Msg: "open " + path, Advice: "name a readable file", Err: err}
	}
	defer f.Close()
	return s.Import(ctx, f, replace)
}
