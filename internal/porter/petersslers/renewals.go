package petersslers

import (
	"context"
	"database/sql"
	"strings"

	"github.com/certfleet/certfleet"
)

// Renewal is a renewal configuration: names, and how they are kept on a
// certificate.
type Renewal struct {
	ID         int64
	Active     bool
	Label      string
	Note       string
	SetID      int64 // of its names
	FactoryID  int64 // that made it; zero for none
	Duplicates certfleet.DuplicateStrategy
	Proofs     []Proof
	challenged int64 // the set of its names with challenge types
	roles
}

// Proof is a name, as it was written, and the challenge types that it is listed for.
type Proof struct {
	Name  string
	Types []certfleet.ChallengeType
}

// Renewals reads all renewal configurations with their names, batch by batch.
func (d *DB) Renewals(ctx context.Context, each func([]Renewal) error) error {
	return batches(ctx, d, `SELECT id, coalesce(is_active, 0) <> 0, coalesce(label, ''), coalesce(note, ''), coalesce(CAST(unique_fqdn_set_id AS INTEGER), 0), coalesce(CAST(uniquely_challenged_fqdn_set_id AS INTEGER), 0),
		coalesce(CAST(enrollment_factory_id__via AS INTEGER), 0), coalesce(CAST(acme_challenge_duplicate_strategy_id AS INTEGER), 1), `+quartetFields+` FROM renewal_configuration WHERE id > ? ORDER BY id LIMIT ?`,
		scanRenewal, func(n Renewal) int64 { return n.ID },
		func(list []Renewal) error {
			if err := d.fillProofs(ctx, list); err != nil {
				return err
			}
			return each(list)
		})
}

func scanRenewal(r *sql.Rows) (n Renewal, err error) {
	var strategy int64
	n.roles, err = scanRoles(r, &n.ID, &n.Active, &n.Label, &n.Note, &n.SetID, &n.challenged, &n.FactoryID, &strategy)
	n.Duplicates = strategies[strategy]
	return n, err
}

// listed is one name of a set of names, and one way to prove it.
type listed struct {
	set  int64
	name string
	typ  int64
}

// fillProofs reads the names of one batch.
func (d *DB) fillProofs(ctx context.Context, list []Renewal) error {
	var sets []any
	for _, n := range list {
		sets = append(sets, n.challenged)
	}
	marks := strings.TrimSuffix(strings.Repeat("?, ", len(sets)), ", ")
	all, err := rows(ctx, d, `SELECT c.uniquely_challenged_fqdn_set_id, coalesce(n.domain_name, ''), coalesce(CAST(c.acme_challenge_type_id AS INTEGER), 0)
		FROM uniquely_challenged_fqdn_set_2_domain c LEFT JOIN domain n ON n.id = c.domain_id WHERE c.uniquely_challenged_fqdn_set_id IN (`+marks+`)
		ORDER BY c.uniquely_challenged_fqdn_set_id, n.id, c.acme_challenge_type_id`,
		func(r *sql.Rows) (l listed, err error) { return l, r.Scan(&l.set, &l.name, &l.typ) }, sets...)
	if err != nil {
		return err
	}
	proofs := map[int64][]Proof{}
	for _, l := range all {
		proofs[l.set] = l.onto(proofs[l.set])
	}
	for i := range list {
		list[i].Proofs = proofs[list[i].challenged]
	}
	return nil
}

// onto adds a row to the proofs of its set; rows of one name follow each other.
func (l listed) onto(to []Proof) []Proof {
	if n := len(to); n == 0 || to[n-1].Name != l.name {
		to = append(to, Proof{Name: l.name})
	}
	last := &to[len(to)-1]
	if typ, ok := challenges[l.typ]; ok {
		last.Types = append(last.Types, typ)
	}
	return to
}
