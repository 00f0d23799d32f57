-- oldest: 1
CREATE TABLE agent (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant_id BIGINT NOT NULL,
  label TEXT NOT NULL,
  target TEXT NOT NULL,
  labels TEXT NOT NULL DEFAULT '',
  join_hash TEXT NOT NULL DEFAULT '',
  join_until BIGINT NOT NULL DEFAULT 0,
  spki TEXT NOT NULL DEFAULT '',
  next_spki TEXT NOT NULL DEFAULT '',
  not_after BIGINT NOT NULL DEFAULT 0,
  created_at BIGINT NOT NULL,
  enrolled_at BIGINT NOT NULL DEFAULT 0,
  revoked_at BIGINT NOT NULL DEFAULT 0,
  seen_at BIGINT NOT NULL DEFAULT 0,
  reported_at BIGINT NOT NULL DEFAULT 0,
  release TEXT NOT NULL DEFAULT '',
  round TEXT NOT NULL DEFAULT '',
  skew BIGINT NOT NULL DEFAULT 0,
  updaters TEXT NOT NULL DEFAULT '',
  rev BIGINT NOT NULL DEFAULT 0,
  UNIQUE (tenant_id, label)
);
CREATE UNIQUE INDEX agent_target ON agent (tenant_id, target) WHERE revoked_at = 0;
CREATE UNIQUE INDEX agent_join ON agent (join_hash) WHERE join_hash <> '';
CREATE UNIQUE INDEX agent_spki ON agent (spki) WHERE spki <> '';
CREATE UNIQUE INDEX agent_next_spki ON agent (next_spki) WHERE next_spki <> '';

-- What each agent holds; one row a certificate, written over by each report.
CREATE TABLE agent_lineage (
  agent_id BIGINT NOT NULL REFERENCES agent (id),
  certificate TEXT NOT NULL,
  fingerprint TEXT NOT NULL DEFAULT '',
  not_after BIGINT NOT NULL DEFAULT 0,
  served TEXT NOT NULL DEFAULT '',
  problem TEXT NOT NULL DEFAULT '',
  advice TEXT NOT NULL DEFAULT '',
  round TEXT NOT NULL DEFAULT '',
  at BIGINT NOT NULL,
  PRIMARY KEY (agent_id, certificate)
);

-- What waits for a target's agent to ask for it.
CREATE INDEX delivery_waiting ON delivery (target_id, id) WHERE state IN ('due', 'sent', 'failed');

-- Who renews a certificate in our place, such as certbot; empty for us.
ALTER TABLE certificate ADD COLUMN external TEXT NOT NULL DEFAULT '';
