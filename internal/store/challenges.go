package store

import (
	"context"
	"time"

	"github.com/certfleet/certfleet"
)

var authzs = table[certfleet.Authorization]{"authz", "authorization", func(a *certfleet.Authorization) []field {
	return []field{
		{"id", &a.ID}, {"order_id", &a.OrderID}, {"url", &a.URL}, {"name", &a.Name}, {"wildcard", flag(&a.Wildcard)}, {"status", &a.Status},
		{"expires_at", ms(&a.ExpiresAt)}, {"challenge", &a.Challenge}, {"problem", &a.Problem}, {"seen_at", ms(&a.SeenAt)},
	}
}}

var challenges = table[certfleet.StoredChallenge]{"challenge", "challenge", func(c *certfleet.StoredChallenge) []field {
	return []field{
		{"id", &c.ID}, {"tenant_id", &c.Tenant}, {"order_id", &c.OrderID}, {"authz_id", &c.AuthorizationID}, {"type", &c.Type}, {"solver", &c.Solver},
		{"url", &c.URL}, {"name", &c.Name}, {"token", &c.Token}, {"key_auth", &c.KeyAuth}, {"state", &c.State}, {"status", &c.Status}, {"hits", &c.Hits},
		{"last_hit", &c.LastHit}, {"seen", &c.Seen}, {"intended_at", ms(&c.IntendedAt)}, {"presented_at", ms(&c.PresentedAt)},
		{"answered_at", ms(&c.AnsweredAt)}, {"cleaned_at", ms(&c.CleanedAt)},
	}
}}

// SeeAuthorization records what the CA said about a name of an order.
func (t *Tx) SeeAuthorization(ctx context.Context, a *certfleet.Authorization) error {
	a.SeenAt = t.now
	row := t.x.QueryRowContext(ctx, `INSERT INTO authz (order_id, url, name, wildcard, status, expires_at, challenge, problem, seen_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		ON CONFLICT (order_id, url) DO UPDATE SET status = excluded.status, expires_at = excluded.expires_at, problem = excluded.problem, seen_at = excluded.seen_at,
		challenge = CASE WHEN excluded.challenge = '' THEN authz.challenge ELSE excluded.challenge END RETURNING id, challenge`,
		a.OrderID, a.URL, a.Name.String(), flag(&a.Wildcard), a.Status, certfleet.Millis(a.ExpiresAt), string(a.Challenge), a.Problem, t.now.UnixMilli())
	return explain(row.Scan(&a.ID, &a.Challenge), "")
}

// ProveAuthorizations notes that the CA has found an order's names proved, and is
// for when it says so of the whole order. Until when that holds it did not say.
func (t *Tx) ProveAuthorizations(ctx context.Context, order int64) error {
	return t.later(ctx, "UPDATE authz SET status = 'valid', expires_at = 0, seen_at = $1 WHERE order_id = $2 AND status = 'pending'", t.now.UnixMilli(), order)
}

// Authorization reads one authorization.
func (q Q) Authorization(ctx context.Context, id int64) (*certfleet.Authorization, error) {
	return authzs.one(ctx, q, "WHERE id = $1", id)
}

// AuthorizationsOf lists what the CA last said about an order's names.
func (q Q) AuthorizationsOf(ctx context.Context, order int64) ([]certfleet.Authorization, error) {
	return authzs.list(ctx, q, "WHERE order_id = $1 ORDER BY id", order)
}

// AuthorizationFilter narrows a list of authorizations and challenges.
type AuthorizationFilter struct {
	Tenant    int64
	Status    string
	AccountID int64
	OrderID   int64
	Labels    certfleet.Labels // of the certificates
	After     Cursor
	Limit     int
}

// where reads table from its newest row down and looks at each row's order;
// CROSS keeps SQLite from going through all orders instead.
func (f AuthorizationFilter) where(q Q, table string, by carriers) where {
	w := where{pg: q.pg}
	w.join("CROSS JOIN orders o")
	w.add("o.id = " + table + ".order_id")
	if table == "challenge" {
		w.tenant(table, f.Tenant, f.OrderID != 0 || by.few)
	} else {
		w.tenant("o", f.Tenant, true)
	}
	w.carriedBy(by, table+".id", table+".order_id IN (SELECT of.id FROM orders of WHERE of.certificate_id IN (%s))", "%s", "o.certificate_id")
	if f.AccountID != 0 {
		w.add("o.account_id = ?", f.AccountID)
	}
	if f.OrderID != 0 {
		w.add(table+".order_id = ?", f.OrderID)
	}
	if f.After.ID != 0 {
		w.add(table+".id < ?", f.After.ID)
	}
	return w
}

// Authorizations lists one page, newest first.
func (q Q) Authorizations(ctx context.Context, f AuthorizationFilter) ([]certfleet.Authorization, Cursor, error) {
	by, err := q.carriersOf(ctx, f.Labels, listed{"authz", f.Tenant, f.After, true})
	if err != nil {
		return nil, Cursor{}, err
	}
	w := f.where(q, "authz", by)
	if f.Status != "" {
		w.word("authz.status", f.Status)
	}
	list, err := authzs.list(ctx, q, w.sql()+" ORDER BY "+w.sorted("authz.id", by)+" DESC"+w.limit(f.Limit), w.args...)
	return list, by.after(next(list, f.Limit, func(a *certfleet.Authorization) Cursor { return Cursor{0, a.ID} })), err
}

// Challenges lists one page, newest first. Status pending means not cleaned up yet.
func (q Q) Challenges(ctx context.Context, f AuthorizationFilter) ([]certfleet.StoredChallenge, Cursor, error) {
	by, err := q.carriersOf(ctx, f.Labels, listed{"challenge", f.Tenant, f.After, true})
	if err != nil {
		return nil, Cursor{}, err
	}
	w := f.where(q, "challenge", by)
	switch f.Status {
	case "":
	case "pending":
		w.add("challenge.cleaned_at = 0")
	default:
		w.word("challenge.status", f.Status)
	}
	list, err := challenges.list(ctx, q, w.sql()+" ORDER BY "+w.sorted("challenge.id", by)+" DESC"+w.limit(f.Limit), w.args...)
	return list, by.after(next(list, f.Limit, func(c *certfleet.StoredChallenge) Cursor { return Cursor{0, c.ID} })), err
}

// IntendChallenge stores a challenge before it is presented, so that it can be
// cleaned up whatever happens in between. It fills in what is stored already, and
// when another order that shares the challenge has told the CA to look.
func (t *Tx) IntendChallenge(ctx context.Context, c *certfleet.StoredChallenge) error {
	found, err := challenges.one(ctx, t.Q, "WHERE authz_id = $1 AND type = $2", c.AuthorizationID, string(c.Type))
	switch {
	case err == nil:
		*c = *found
		return nil
	case certfleet.KindOf(err) != certfleet.NotFound:
		return err
	}
	if c.AnsweredAt, err = t.answeredBy(ctx, c); err != nil {
		return err
	}
	c.IntendedAt = t.now
	return challenges.insert(ctx, t, c)
}

// Reintend gives a challenge another key authorization, as a new key of its account
// does (RFC 8555 section 8.1), after what was presented was taken away: it is to be
// presented again, and the CA told again. Where our own rows make it visible, the
// write does, also for other orders that share it.
func (t *Tx) Reintend(ctx context.Context, c *certfleet.StoredChallenge, keyAuth string) error {
	c.KeyAuth, c.State, c.Status, c.PresentedAt, c.AnsweredAt = keyAuth, nil, "pending", time.Time{}, time.Time{}
	if c.Type != certfleet.DNS01 {
		c.PresentedAt = t.now
		if err := t.later(ctx, "UPDATE challenge SET key_auth = $1 WHERE token = $2 AND type = $3 AND cleaned_at = 0", keyAuth, c.Token, string(c.Type)); err != nil {
			return err
		}
	}
	return t.changeOne(ctx, "UPDATE challenge SET key_auth = $1, state = NULL, status = $2, presented_at = $3, answered_at = 0 WHERE id = $4 AND cleaned_at = 0",
		keyAuth, c.Status, certfleet.Millis(c.PresentedAt), c.ID)
}

// HandshakeTaken reports whether another order had a challenge of the same type
// presented or answered for the name since, and no verdict. Until the transaction
// ends nobody else is told that it is not.
func (t *Tx) HandshakeTaken(ctx context.Context, c *certfleet.StoredChallenge, since time.Time) (bool, error) {
	if _, err := t.change(ctx, "UPDATE domain SET challenge = challenge WHERE tenant_id = $1 AND name = $2", orDefault(c.Tenant), c.Name.String()); err != nil {
		return false, err
	}
	n, err := t.number(ctx, `SELECT count(*) FROM challenge WHERE name = $1 AND type = $2 AND cleaned_at = 0 AND order_id <> $3
		AND (presented_at > $4 OR answered_at > $4) AND status NOT IN ('valid', 'invalid')`, c.Name.String(), string(c.Type), c.OrderID, since.UnixMilli())
	return n > 0, err
}

// ChallengesOf lists the challenges of an order.
func (q Q) ChallengesOf(ctx context.Context, order int64) ([]certfleet.StoredChallenge, error) {
	return challenges.list(ctx, q, "WHERE order_id = $1 ORDER BY id", order)
}

// Presented notes that a challenge is visible, with the solver's own state.
func (t *Tx) Presented(ctx context.Context, id int64, state []byte) error {
	return t.later(ctx, "UPDATE challenge SET presented_at = $1, state = $2 WHERE id = $3", t.now.UnixMilli(), state, id)
}

// SawChallenge notes what the solver saw when it last looked.
func (t *Tx) SawChallenge(ctx context.Context, id int64, seen string) error {
	return t.later(ctx, "UPDATE challenge SET seen = $1 WHERE id = $2", seen, id)
}

// Answered notes that the CA was told to look, and what it said to that.
func (t *Tx) Answered(ctx context.Context, id int64, status string) error {
	return t.later(ctx, "UPDATE challenge SET answered_at = $1, status = $2 WHERE id = $3", t.now.UnixMilli(), status, id)
}

// CleanLater makes all challenges of an ended order due for cleaning up. Those
// that only our own rows make visible are gone with this write. How a challenge
// ended is told by its authorization (RFC 8555 section 7.1.6).
func (t *Tx) CleanLater(ctx context.Context, order int64) error {
	return t.later(ctx, `UPDATE challenge SET clean_due_at = CASE type WHEN 'dns-01' THEN CAST($1 AS BIGINT) ELSE 0 END, cleaned_at = CASE type WHEN 'dns-01' THEN 0 ELSE CAST($1 AS BIGINT) END,
		status = COALESCE((SELECT authz.status FROM authz WHERE authz.id = challenge.authz_id AND authz.status IN ('valid', 'invalid')), status)
		WHERE order_id = $2 AND cleaned_at = 0`, t.now.UnixMilli(), order)
}

// DueCleanups are the challenges to take away now.
func (q Q) DueCleanups(ctx context.Context, now time.Time, limit int) ([]certfleet.StoredChallenge, error) {
	return challenges.list(ctx, q, "WHERE clean_due_at > 0 AND clean_due_at <= $1 ORDER BY clean_due_at LIMIT $2", now.UnixMilli(), limit)
}

// CleanUpDue reports whether a challenge is to be taken away by now.
func (q Q) CleanUpDue(ctx context.Context, id int64, now time.Time) (bool, error) {
	n, err := q.number(ctx, "SELECT count(*) FROM challenge WHERE id = $1 AND clean_due_at > 0 AND clean_due_at <= $2", id, now.UnixMilli())
	return n > 0, err
}

// ClaimCleanUp takes a challenge that is to be taken away now, which is due again
// when the lease ends. Of two nodes one wins.
func (t *Tx) ClaimCleanUp(ctx context.Context, id int64, until time.Time) error {
	return t.changeOne(ctx, "UPDATE challenge SET clean_due_at = $1 WHERE id = $2 AND clean_due_at > 0 AND clean_due_at <= $3", until.UnixMilli(), id, t.now.UnixMilli())
}

// Cleaned notes that a challenge is no longer visible.
func (t *Tx) Cleaned(ctx context.Context, id int64) error {
	return t.later(ctx, "UPDATE challenge SET cleaned_at = $1, clean_due_at = 0, state = NULL WHERE id = $2", t.now.UnixMilli(), id)
}

// CleanAgain puts off a cleaning that went wrong.
func (t *Tx) CleanAgain(ctx context.Context, id int64, at time.Time, problem string) error {
	_, err := t.change(ctx, "UPDATE challenge SET clean_due_at = $1, seen = $2 WHERE id = $3", at.UnixMilli(), problem, id)
	return err
}

// ChallengeByToken finds the key authorization for an http-01 token that is
// intended or visible now.
func (q Q) ChallengeByToken(ctx context.Context, token string) (*certfleet.StoredChallenge, error) {
	return challenges.one(ctx, q, "WHERE token = $1 AND type = 'http-01' AND cleaned_at = 0 ORDER BY id DESC", token)
}

// ChallengeByName finds the open challenge of a type for a name: of several the one
// that was presented last.
func (q Q) ChallengeByName(ctx context.Context, name string, typ certfleet.ChallengeType) (*certfleet.StoredChallenge, error) {
	list, err := challenges.list(ctx, q, "WHERE name = $1 AND type = $2 AND cleaned_at = 0 ORDER BY id DESC LIMIT 100", name, string(typ))
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, &certfleet.Error{Kind: certfleet.NotFound, Msg: "no such challenge"}
	}
	last := &list[0]
	for i := range list {
		if list[i].PresentedAt.After(last.PresentedAt) {
			last = &list[i]
		}
	}
	return last, nil
}

// Hits adds looks at challenges, counted by token; one write for many.
func (t *Tx) Hits(ctx context.Context, token, client string, n int64) error {
	_, err := t.change(ctx, "UPDATE challenge SET hits = hits + $1, last_hit = $2 WHERE token = $3", n, client, token)
	return err
}

// Strays adds requests on the challenge port that fit no challenge.
func (t *Tx) Strays(ctx context.Context, sample, client string, n int64) error {
	_, err := t.change(ctx, `INSERT INTO stray (hour, n, sample, client) VALUES ($1, $2, $3, $4)
		ON CONFLICT (hour) DO UPDATE SET n = stray.n + excluded.n, sample = excluded.sample, client = excluded.client`,
		t.now.Truncate(time.Hour).UnixMilli(), n, sample, client)
	return err
}

// Challenge reads one challenge.
func (q Q) Challenge(ctx context.Context, id int64) (*certfleet.StoredChallenge, error) {
	return challenges.one(ctx, q, "WHERE id = $1", id)
}
