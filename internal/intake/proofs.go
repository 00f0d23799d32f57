package intake

import (
	"fmt"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
)

// prove takes over how single names are to be proved.
func (w *want) prove(n api.NewCertificate) error {
	if len(n.Proofs) == 0 {
		return nil
	}
	if n.Challenge != "" {
		return invalid("give challenge or proofs", "it is said twice how the names are proved")
	}
	w.dnsSolver, w.proofs = n.Solver, map[certfleet.Name]certfleet.NameProof{}
	for _, e := range n.Proofs {
		p, err := proofOf(e, w.names)
		if err != nil {
			return err
		}
		w.proofs[p.Name] = p
	}
	return nil
}

// proofOf checks one name of those that are wanted, and its challenge types.
func proofOf(e api.EnrolledName, names []certfleet.Name) (p certfleet.NameProof, err error) {
	if p.Name, err = certfleet.ParseName(e.Name); err != nil {
		return p, err
	}
	if p.First, err = certfleet.ParseChallengeType(e.Challenge); err != nil {
		return p, err
	}
	if p.Second, err = certfleet.ParseChallengeType(e.Second); err != nil {
		return p, err
	}
	for _, n := range names {
		if n != p.Name {
			continue
		}
		for _, typ := range []certfleet.ChallengeType{p.First, p.Second} {
			if err := checkChallenge([]certfleet.Name{n}, typ); err != nil {
				return p, err
			}
		}
		return p, nil
	}
	return p, invalid("name those of the certificate", fmt.Sprintf("%s is not a name of the certificate", p.Name))
}

// byDNS reports whether a name is said to be proved by dns-01.
func (w *want) byDNS() bool {
	for _, p := range w.proofs {
		if p.First == certfleet.DNS01 || p.Second == certfleet.DNS01 {
			return true
		}
	}
	return false
}

// provable refuses challenge types of single names that nothing here can solve.
func (r Room) provable(w *want) error {
	for _, p := range w.proofs {
		if p.First == "" {
			continue
		}
		solver := ""
		if p.First == certfleet.DNS01 {
			solver = w.dnsSolver
		}
		if err := r.CheckSolver(p.First, solver); err != nil {
			return err
		}
	}
	return nil
}
