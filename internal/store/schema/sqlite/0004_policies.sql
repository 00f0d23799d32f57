-- oldest: 4
-- Which key many certificates share now: by day or week, for all or one account.
CREATE TABLE shared_key (
  tenant_id BIGINT NOT NULL,
  share TEXT NOT NULL,
  key_id BIGINT NOT NULL REFERENCES key (id),
  PRIMARY KEY (tenant_id, share)
);
CREATE INDEX version_key_revoked ON version (key_id) WHERE revoked_at > 0 AND revoke_reason NOT IN (4, 5);

-- What orders with an account are like when their policy leaves it to the account.
CREATE TABLE account_default (
  account_id BIGINT PRIMARY KEY REFERENCES account (id),
  key_cycle TEXT NOT NULL DEFAULT '',
  key_type TEXT NOT NULL DEFAULT '',
  profile TEXT NOT NULL DEFAULT ''
);

-- Which policy counts where none is named: global, autocert, certificate-if-needed.
CREATE TABLE default_policy (
  tenant_id BIGINT NOT NULL,
  purpose TEXT NOT NULL,
  policy_id BIGINT NOT NULL REFERENCES policy (id),
  PRIMARY KEY (tenant_id, purpose)
);

-- The second certificate of a certificate, from another CA, that is kept warm.
CREATE TABLE backup (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant_id BIGINT NOT NULL,
  certificate_id BIGINT NOT NULL UNIQUE REFERENCES certificate (id),
  due_at BIGINT NOT NULL DEFAULT 0,
  due_reason TEXT NOT NULL DEFAULT '',
  lane BIGINT NOT NULL DEFAULT 60,
  failures BIGINT NOT NULL DEFAULT 0,
  problem TEXT NOT NULL DEFAULT '',
  advice TEXT NOT NULL DEFAULT '',
  failed_at BIGINT NOT NULL DEFAULT 0,
  version_id BIGINT,
  not_after BIGINT NOT NULL DEFAULT 0,
  flipped_at BIGINT NOT NULL DEFAULT 0,
  rev BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX backup_due ON backup (due_at, id) WHERE due_at > 0;
CREATE INDEX backup_flipped ON backup (tenant_id, certificate_id) WHERE flipped_at > 0;

-- Under which number a version is delivered that was put before newer ones.
CREATE TABLE generation (
  version_id BIGINT PRIMARY KEY REFERENCES version (id),
  n BIGINT NOT NULL
);

-- Certificates that a policy's change concerns, looked at in turn.
CREATE TABLE backup_fill (
  policy_id BIGINT PRIMARY KEY REFERENCES policy (id),
  after_id BIGINT NOT NULL DEFAULT 0,
  due_at BIGINT NOT NULL
);

-- A mass replacement under way, or what came of one.
CREATE TABLE replacement (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant_id BIGINT NOT NULL,
  spec TEXT NOT NULL DEFAULT '{}',
  state TEXT NOT NULL,
  actor TEXT NOT NULL DEFAULT '',
  after_id BIGINT NOT NULL DEFAULT 0,
  walked BIGINT NOT NULL DEFAULT 0,
  due_at BIGINT NOT NULL DEFAULT 0,
  created_at BIGINT NOT NULL,
  finished_at BIGINT NOT NULL DEFAULT 0,
  rev BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX replacement_due ON replacement (due_at, id) WHERE due_at > 0;
CREATE INDEX replacement_tenant ON replacement (tenant_id, id);

-- One version that a replacement is to take out of use. The due time that its
-- certificate had before stands here, for an abort.
CREATE TABLE replacement_item (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  replacement_id BIGINT NOT NULL REFERENCES replacement (id),
  version_id BIGINT NOT NULL REFERENCES version (id),
  certificate_id BIGINT,
  state TEXT NOT NULL,
  due_at BIGINT NOT NULL DEFAULT 0,
  due_reason TEXT NOT NULL DEFAULT '',
  lane BIGINT NOT NULL DEFAULT 50,
  problem TEXT NOT NULL DEFAULT '',
  changed_at BIGINT NOT NULL DEFAULT 0,
  UNIQUE (replacement_id, version_id)
);
CREATE INDEX replacement_item_state ON replacement_item (replacement_id, state, id);
CREATE INDEX replacement_item_asked ON replacement_item (version_id) WHERE state = 'asked';

-- The other challenge type of a name, for when the first has failed.
CREATE TABLE domain_second (
  domain_id BIGINT PRIMARY KEY REFERENCES domain (id),
  challenge TEXT NOT NULL,
  solver TEXT NOT NULL DEFAULT ''
);

-- How customers' domains become certificates.
CREATE TABLE factory (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant_id BIGINT NOT NULL,
  label TEXT NOT NULL,
  labels TEXT NOT NULL DEFAULT '',
  spec TEXT NOT NULL DEFAULT '{}',
  UNIQUE (tenant_id, label)
);

-- What is never to be ordered: a name, a registered domain, or all below a suffix.
CREATE TABLE blocked (
  tenant_id BIGINT NOT NULL,
  kind TEXT NOT NULL,
  pattern TEXT NOT NULL,
  note TEXT NOT NULL DEFAULT '',
  actor TEXT NOT NULL DEFAULT '',
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, kind, pattern)
);
