package issue

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
)

// The bounds of one piece of a replacement.
const (
	walkPage  = 500  // versions that are looked at in one transaction
	askPage   = 100  // certificates that are made due in one transaction
	askedMost = 1000 // certificates that are due for a replacement at a time
	stepTime  = 10 * time.Second
	lookBack  = 1000 // replacements among which that of a key is looked for
)

// Replace takes a mass replacement one piece further. What is committed is never
// large: versions are found page by page, and only some certificates are due for
// it at a time, in the emergency lane, where the ledger paces their orders.
func (r *Room) Replace(ctx context.Context, id int64, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	p, err := r.DB.Replacement(ctx, id)
	if err != nil || p.DueAt.IsZero() || p.DueAt.After(now) {
		return err
	}
	coming, err := r.stillComing(ctx, p)
	if err != nil {
		return err
	}
	did := 0
	if p.State == certfleet.ReplacementAborting {
		did, err = r.takeBack(ctx, p)
	} else {
		did, err = r.drive(ctx, p)
	}
	if err != nil {
		return fmt.Errorf("replacement %d: %w", id, err)
	}
	return r.rest(ctx, p, did, coming)
}

// stillComing is how many orders are under way whose request had left with a
// compromised key before it was known: their versions are found when they are there.
func (r *Room) stillComing(ctx context.Context, p *certfleet.Replacement) (int64, error) {
	if p.Spec.KeyID == 0 || p.State != certfleet.ReplacementRunning {
		return 0, nil
	}
	p.Walked = false
	return r.DB.LiveWithKey(ctx, p.Spec.KeyID)
}

// drive finds, asks and revokes, as far as there is something to do.
func (r *Room) drive(ctx context.Context, p *certfleet.Replacement) (int, error) {
	did := 0
	for end := time.Now().Add(stepTime); !p.Walked && time.Now().Before(end); {
		n, err := r.find(ctx, p)
		if did += n; err != nil {
			return did, err
		}
	}
	for _, part := range []func(context.Context, *certfleet.Replacement) (int, error){r.leaveStrays, r.askSome, r.revokeSome} {
		n, err := part(ctx, p)
		if did += n; err != nil {
			return did, err
		}
	}
	return did, nil
}

// find looks at the next versions and notes those that are to be replaced.
func (r *Room) find(ctx context.Context, p *certfleet.Replacement) (int, error) {
	list, last, more, err := r.DB.VersionsBehind(ctx, &p.Spec, p.Tenant, p.AfterID, time.Now(), walkPage)
	if err != nil {
		return 0, err
	}
	var items []certfleet.ReplacementItem
	for _, v := range list {
		i, ok, err := r.item(ctx, p, &v)
		if err != nil {
			return 0, err
		}
		if ok {
			items = append(items, i)
		}
	}
	return len(items), r.DB.Tx(ctx, time.Now(), func(tx *store.Tx) error {
		for i := range items {
			if err := tx.AddReplacementItem(ctx, &items[i]); err != nil {
				return err
			}
		}
		p.AfterID, p.Walked = last, !more
		return tx.SaveReplacement(ctx, p)
	})
}

// item is what has to be done about a version, if anything. One that is not in
// use is only revoked.
func (r *Room) item(ctx context.Context, p *certfleet.Replacement, v *certfleet.Version) (certfleet.ReplacementItem, bool, error) {
	i := certfleet.ReplacementItem{ReplacementID: p.ID, VersionID: v.ID, CertificateID: v.CertificateID, State: certfleet.ItemWanted}
	if !p.Spec.Matches(v) || p.Spec.KeyID == 0 && !p.CreatedAt.IsZero() && v.CreatedAt.After(p.CreatedAt) {
		return i, false, nil // what came since is what others were replaced by
	}
	if v.CertificateID == 0 {
		i.State = certfleet.ItemReplaced
		return i, p.Spec.Revoke, nil
	}
	c, err := r.DB.Certificate(ctx, v.CertificateID)
	if err != nil || !carries(c.Labels, p.Spec.Labels) {
		return i, false, err
	}
	b, err := r.DB.MaybeBackup(ctx, c.ID)
	if err != nil {
		return i, false, err
	}
	switch {
	case c.VersionID != v.ID && (b == nil || b.VersionID != v.ID):
		i.State = certfleet.ItemReplaced
		return i, p.Spec.Revoke, nil
	case c.State == certfleet.Removed:
		i.State = certfleet.ItemReplaced
		return i, p.Spec.Revoke, nil
	case c.State != certfleet.Active:
		i.State, i.Problem = certfleet.ItemSkipped, "its certificate is "+string(c.State)
	}
	return i, true, nil
}

// askSome makes certificates due, as many as may be due for it at a time.
func (r *Room) askSome(ctx context.Context, p *certfleet.Replacement) (int, error) {
	counts, err := r.DB.ReplacementCounts(ctx, p.ID)
	if err != nil {
		return 0, err
	}
	did := 0
	for _, from := range []certfleet.ItemState{certfleet.ItemWanted, certfleet.ItemReleased} {
		for room := askedMost - int(counts[certfleet.ItemAsked]) - did; room > 0; room = askedMost - int(counts[certfleet.ItemAsked]) - did {
			list, err := r.DB.ReplacementItems(ctx, p.ID, from, 0, min(room, askPage))
			if err != nil || len(list) == 0 {
				if err != nil {
					return did, err
				}
				break
			}
			err = r.DB.Tx(ctx, time.Now(), func(tx *store.Tx) error {
				for i := range list {
					if err := ask(ctx, tx, &list[i]); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				return did, err
			}
			did += len(list)
		}
	}
	return did, nil
}

// rest says when a replacement goes on, or that it has ended.
func (r *Room) rest(ctx context.Context, p *certfleet.Replacement, did int, coming int64) error {
	counts, err := r.DB.ReplacementCounts(ctx, p.ID)
	if err != nil {
		return err
	}
	open := counts[certfleet.ItemAsked] + coming
	if p.State == certfleet.ReplacementRunning {
		open += counts[certfleet.ItemWanted] + counts[certfleet.ItemReleased]
		if p.Spec.Revoke {
			open += counts[certfleet.ItemReplaced]
		}
		if !p.Spec.RevokeBy.IsZero() {
			open += counts[certfleet.ItemSkipped] // their time comes too
		}
	}
	return r.DB.Tx(ctx, time.Now(), func(tx *store.Tx) error {
		p.DueAt = tx.Now().Add(5 * time.Second)
		switch {
		case open > 0 && did > 0:
			p.DueAt = tx.Now().Add(time.Second)
		case open > 0:
		case p.State == certfleet.ReplacementAborting:
			p.State = certfleet.ReplacementAborted
		case p.Walked:
			p.State = certfleet.ReplacementDone
		}
		if p.State == certfleet.ReplacementRunning || p.State == certfleet.ReplacementAborting {
			return tx.SaveReplacement(ctx, p)
		}
		p.DueAt, p.FinishedAt = time.Time{}, tx.Now()
		if err := tx.SaveReplacement(ctx, p); err != nil {
			return err
		}
		but, err := exception(ctx, tx, p)
		if err != nil {
			return err
		}
		return tx.Event(ctx, certfleet.Event{Kind: "replacement." + string(p.State), Tenant: p.Tenant, Msg: fmt.Sprintf("replacement %d: %d replaced, %d revoked, %d of them before another was there, %d left aside", p.ID,
			counts[certfleet.ItemReplaced], counts[certfleet.ItemRevoked]+counts[certfleet.ItemOverdue], counts[certfleet.ItemOverdue], counts[certfleet.ItemStuck]+counts[certfleet.ItemSkipped]) + but})
	})
}

// exception says which orders may still bring a version with the key that is out:
// those that advance by request only are not waited for.
func exception(ctx context.Context, tx *store.Tx, p *certfleet.Replacement) (string, error) {
	if p.Spec.KeyID == 0 {
		return "", nil
	}
	ids, err := tx.ByHandWithKey(ctx, p.Spec.KeyID)
	if err != nil || len(ids) == 0 {
		return "", err
	}
	return "; the key is also in orders that advance by hand (" + strings.Join(ids, ", ") + "): what they bring is replaced when it is there", nil
}

// takeUp lets the replacement of a compromised key go on that had ended when an
// order by hand brought one more version with it.
func takeUp(ctx context.Context, tx *store.Tx, v *certfleet.Version) error {
	key, err := tx.Key(ctx, v.KeyID)
	if err != nil || key.CompromisedAt.IsZero() {
		return err
	}
	list, err := tx.Replacements(ctx, v.Tenant, lookBack)
	if err != nil {
		return err
	}
	for i := range list {
		p := &list[i]
		if p.Spec.KeyID != key.ID || p.State != certfleet.ReplacementDone {
			continue
		}
		p.State, p.DueAt, p.FinishedAt, p.Walked = certfleet.ReplacementRunning, tx.Now(), time.Time{}, false
		if err := tx.SaveReplacement(ctx, p); err != nil {
			return err
		}
		tx.Wake()
		return tx.Event(ctx, certfleet.Event{Kind: "replacement.running", Tenant: p.Tenant, CertificateID: v.CertificateID, VersionID: v.ID, Msg: fmt.Sprintf("replacement %d goes on: an order by hand brought version %d with the key that is out", p.ID, v.ID)})
	}
	return nil
}

// carries reports whether all wanted labels are among those that there are.
func carries(have, want certfleet.Labels) bool {
	for k, v := range want {
		if has, ok := have[k]; !ok || has != v {
			return false
		}
	}
	return true
}
