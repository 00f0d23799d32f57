package store

import (
	"context"
	"time"

	"github.com/certfleet/certfleet"
)

var agents = table[certfleet.Agent]{"agent", "agent", func(a *certfleet.Agent) []field {
	return []field{
		{"id", &a.ID}, {"tenant_id", &a.Tenant}, {"label", &a.Label}, {"target", &a.Target}, {"labels", doc(&a.Labels)},
		{"join_hash", &a.JoinHash}, {"join_until", ms(&a.JoinUntil)}, {"spki", &a.SPKI}, {"next_spki", &a.NextSPKI}, {"not_after", ms(&a.NotAfter)},
		{"created_at", ms(&a.CreatedAt)}, {"enrolled_at", ms(&a.EnrolledAt)}, {"revoked_at", ms(&a.RevokedAt)}, {"seen_at", ms(&a.SeenAt)}, {"reported_at", ms(&a.ReportedAt)}, {"quiet_at", ms(&a.QuietAt)},
		{"release", &a.Release}, {"round", &a.Round}, {"skew", &a.Skew}, {"updaters", doc(&a.Updaters)}, {"rev", &a.Rev},
	}
}}

// AddAgent stores an agent that is invited.
func (t *Tx) AddAgent(ctx context.Context, a *certfleet.Agent) error {
	a.CreatedAt = t.now
	return agents.insert(ctx, t, a)
}

// SaveAgent writes an agent where nobody else did meanwhile.
func (t *Tx) SaveAgent(ctx context.Context, a *certfleet.Agent) error {
	return agents.save(ctx, t, a, &a.Rev)
}

// AgentSeen notes when an agent last asked for something; callers do so at most
// once a minute. It changes no revision.
func (t *Tx) AgentSeen(ctx context.Context, id int64) error {
	_, err := t.change(ctx, "UPDATE agent SET seen_at = $1 WHERE id = $2", t.now.UnixMilli(), id)
	return err
}

// Agent reads one agent.
func (q Q) Agent(ctx context.Context, id int64) (*certfleet.Agent, error) {
	return agents.one(ctx, q, "WHERE id = $1", id)
}

// AgentByLabel reads one agent by its label.
func (q Q) AgentByLabel(ctx context.Context, tenant int64, label string) (*certfleet.Agent, error) {
	return agents.one(ctx, q, "WHERE tenant_id = $1 AND label = $2", orDefault(tenant), label)
}

// AgentByJoin finds the agent whose open invitation has the hash.
func (q Q) AgentByJoin(ctx context.Context, hash string, now time.Time) (*certfleet.Agent, error) {
	return agents.one(ctx, q, "WHERE join_hash = $1 AND join_hash <> '' AND join_until > $2 AND revoked_at = 0", hash, now.UnixMilli())
}

// AgentBySPKI finds the agent that is known by a public key, or will be by its
// next one. One that is revoked is not found.
func (q Q) AgentBySPKI(ctx context.Context, spki string) (*certfleet.Agent, error) {
	a, err := agents.one(ctx, q, "WHERE spki = $1 AND spki <> '' AND revoked_at = 0", spki)
	if certfleet.KindOf(err) == certfleet.NotFound {
		return agents.one(ctx, q, "WHERE next_spki = $1 AND next_spki <> '' AND revoked_at = 0", spki)
	}
	return a, err
}

// Agents lists them all, by label.
func (q Q) Agents(ctx context.Context, tenant int64) ([]certfleet.Agent, error) {
	return agents.list(ctx, q, "WHERE tenant_id = $1 ORDER BY label", orDefault(tenant))
}

// DueAgents are those of which nothing was heard for so long that people are to
// be told, longest first.
func (q Q) DueAgents(ctx context.Context, now time.Time, limit int) ([]certfleet.Agent, error) {
	return agents.list(ctx, q, "WHERE quiet_at > 0 AND quiet_at <= $1 ORDER BY quiet_at, id LIMIT $2", now.UnixMilli(), limit)
}

// AgentCounts counts the agents of all tenants by state.
func (q Q) AgentCounts(ctx context.Context, now time.Time) ([]Count, error) {
	return counts(q, ctx, `SELECT CASE WHEN revoked_at > 0 THEN 'revoked' WHEN spki = '' AND join_until > $1 THEN 'invited' WHEN spki = '' OR not_after <= $1 THEN 'lapsed'
		WHEN reported_at < $2 AND enrolled_at < $2 THEN 'silent' ELSE 'active' END AS state, count(*) FROM agent GROUP BY 1`, now.UnixMilli(), now.Add(-certfleet.AgentSilence).UnixMilli())
}

var agentLineages = table[certfleet.AgentLineage]{"agent_lineage", "lineage of an agent", func(l *certfleet.AgentLineage) []field {
	return []field{{"agent_id", &l.AgentID}, {"certificate", &l.Certificate}, {"fingerprint", &l.Fingerprint}, {"not_after", ms(&l.NotAfter)},
		{"served", &l.Served}, {"problem", &l.Problem}, {"advice", &l.Advice}, {"round", &l.Round}, {"at", ms(&l.At)}}
}}

// PutAgentLineage stores what an agent holds of a certificate, in place of what
// it held.
func (t *Tx) PutAgentLineage(ctx context.Context, l certfleet.AgentLineage) error {
	_, err := t.change(ctx, `INSERT INTO agent_lineage (agent_id, certificate, fingerprint, not_after, served, problem, advice, round, at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		ON CONFLICT (agent_id, certificate) DO UPDATE SET fingerprint = excluded.fingerprint, not_after = excluded.not_after, served = excluded.served,
		problem = excluded.problem, advice = excluded.advice, round = excluded.round, at = excluded.at`,
		l.AgentID, l.Certificate, l.Fingerprint, certfleet.Millis(l.NotAfter), l.Served, l.Problem, l.Advice, l.Round, t.now.UnixMilli())
	return err
}

// ForgetAgentLineages removes what the agent's whole report of a round did not
// name.
func (t *Tx) ForgetAgentLineages(ctx context.Context, agent int64, round string) error {
	_, err := t.change(ctx, "DELETE FROM agent_lineage WHERE agent_id = $1 AND round <> $2", agent, round)
	return err
}

// AgentLineages lists a page of what an agent holds, after a label.
func (q Q) AgentLineages(ctx context.Context, agent int64, after string, limit int) ([]certfleet.AgentLineage, error) {
	return agentLineages.list(ctx, q, "WHERE agent_id = $1 AND certificate > $2 ORDER BY certificate LIMIT $3", agent, after, limit)
}

// assigned joins what a target's deliveries are about, as long as the certificate
// goes to that target.
const assigned = ` JOIN certificate_target ct ON ct.certificate_id = delivery.certificate_id AND ct.target_id = delivery.target_id
	JOIN certificate c ON c.id = delivery.certificate_id AND c.state <> 'removed' JOIN version v ON v.id = delivery.version_id `

// assignable leaves out what waits for a canary, and what was rolled back.
const assignable = ` AND delivery.held = 0 AND NOT EXISTS (SELECT 1 FROM delivery o WHERE o.certificate_id = delivery.certificate_id AND o.target_id = delivery.target_id
	AND o.rollback = 1 AND o.state <> 'superseded' AND o.id <> delivery.id)`

// Assignments are the deliveries that wait for the target's agent, oldest first.
func (q Q) Assignments(ctx context.Context, target int64, limit int) ([]certfleet.Assignment, error) {
	return q.assignments(ctx, "WHERE delivery.target_id = $1 AND delivery.state IN ('due', 'sent', 'failed')"+assignable+" ORDER BY delivery.id LIMIT $2", target, limit)
}

// Assigned is the delivery of a version to a target, while it is the one that is
// wanted there.
func (q Q) Assigned(ctx context.Context, target, version int64) (*certfleet.Assignment, error) {
	list, err := q.assignments(ctx, "WHERE delivery.version_id = $1 AND delivery.target_id = $2 AND delivery.state <> 'superseded'"+assignable, version, target)
	if err == nil && len(list) == 0 {
		return nil, &certfleet.Error{Kind: certfleet.NotFound, Msg: "no such version is assigned"}
	}
	if err != nil {
		return nil, err
	}
	return &list[0], nil
}

func (q Q) assignments(ctx context.Context, tail string, args ...any) ([]certfleet.Assignment, error) {
	rows, err := q.x.QueryContext(ctx, "SELECT delivery.id, delivery.version_id, c.label, v.fingerprint FROM delivery"+assigned+tail, args...)
	if err != nil {
		return nil, explain(err, "")
	}
	defer rows.Close()
	var out []certfleet.Assignment
	for rows.Next() {
		var a certfleet.Assignment
		if err := rows.Scan(&a.DeliveryID, &a.VersionID, &a.Certificate, &a.Fingerprint); err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, explain(rows.Err(), "")
}

// DeliveryHere is the delivery to a target that is wanted of a certificate, by
// its label; of a version that was rolled back, the one in its place.
func (q Q) DeliveryHere(ctx context.Context, tenant, target int64, label string) (*certfleet.Delivery, error) {
	return deliveries.one(ctx, q, "JOIN certificate c ON c.id = delivery.certificate_id WHERE c.tenant_id = $1 AND c.label = $2 AND delivery.target_id = $3 AND delivery.state <> 'superseded' ORDER BY delivery.rollback DESC, delivery.version_id DESC", orDefault(tenant), label, target)
}

// Missing are deliveries that arrived at a target and of which its agent, in a
// whole report, says that it holds something else or nothing.
func (q Q) Missing(ctx context.Context, agent, target int64, limit int) ([]certfleet.Delivery, error) {
	return deliveries.list(ctx, q, assigned+`WHERE delivery.target_id = $1 AND delivery.state IN ('applied', 'served')
		AND NOT EXISTS (SELECT 1 FROM agent_lineage l WHERE l.agent_id = $2 AND l.certificate = c.label AND l.fingerprint = v.fingerprint) ORDER BY delivery.id LIMIT $3`, target, agent, limit)
}
