-- oldest: 1
CREATE TABLE tenant (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  label TEXT NOT NULL UNIQUE,
  created_at BIGINT NOT NULL DEFAULT 0
);
INSERT INTO tenant (id, label) VALUES (1, 'default');

CREATE TABLE setting (
  k TEXT PRIMARY KEY,
  v TEXT NOT NULL
);

-- Labels are kept on each row for reading, and here for filtering.
CREATE TABLE label (
  kind TEXT NOT NULL,
  object_id BIGINT NOT NULL,
  k TEXT NOT NULL,
  v TEXT NOT NULL,
  PRIMARY KEY (kind, object_id, k)
);
CREATE INDEX label_kv ON label (kind, k, v, object_id);

CREATE TABLE data_key (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  keeper_id TEXT NOT NULL,
  wrapped BLOB NOT NULL,
  created_at BIGINT NOT NULL
);

CREATE TABLE key (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant_id BIGINT NOT NULL,
  kind TEXT NOT NULL,
  type TEXT NOT NULL,
  spki TEXT NOT NULL,
  custody TEXT NOT NULL,
  origin TEXT NOT NULL,
  order_id BIGINT,
  replaces_key_id BIGINT REFERENCES key (id),
  sealed BLOB,
  compromised_at BIGINT NOT NULL DEFAULT 0,
  created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX key_spki ON key (tenant_id, spki);
CREATE INDEX key_kind ON key (tenant_id, kind, id);
CREATE INDEX key_tenant ON key (tenant_id, id);

-- Openings of private keys, counted per key, opener, reason and hour.
CREATE TABLE key_opening (
  key_id BIGINT NOT NULL REFERENCES key (id),
  actor TEXT NOT NULL,
  reason TEXT NOT NULL,
  hour BIGINT NOT NULL,
  n BIGINT NOT NULL,
  PRIMARY KEY (key_id, hour, actor, reason)
);

CREATE TABLE authority (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant_id BIGINT NOT NULL,
  label TEXT NOT NULL,
  directory_url TEXT NOT NULL,
  trust_pem TEXT NOT NULL DEFAULT '',
  unverified BIGINT NOT NULL DEFAULT 0,
  eab BIGINT NOT NULL DEFAULT 0,
  note TEXT NOT NULL DEFAULT '',
  labels TEXT NOT NULL DEFAULT '',
  UNIQUE (tenant_id, label)
);

CREATE TABLE account (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant_id BIGINT NOT NULL,
  authority_id BIGINT NOT NULL REFERENCES authority (id),
  label TEXT NOT NULL,
  contact TEXT NOT NULL DEFAULT '[]',
  url TEXT NOT NULL DEFAULT '',
  key_id BIGINT REFERENCES key (id),
  next_key_id BIGINT REFERENCES key (id),
  state TEXT NOT NULL,
  agreed_at BIGINT NOT NULL DEFAULT 0,
  eab_key_id TEXT NOT NULL DEFAULT '',
  eab_sealed BLOB,
  problem TEXT NOT NULL DEFAULT '',
  created_at BIGINT NOT NULL,
  rev BIGINT NOT NULL DEFAULT 0,
  UNIQUE (tenant_id, label)
);

CREATE TABLE policy (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant_id BIGINT NOT NULL,
  label TEXT NOT NULL,
  labels TEXT NOT NULL DEFAULT '',
  spec TEXT NOT NULL DEFAULT '{}',
  UNIQUE (tenant_id, label)
);

CREATE TABLE domain (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant_id BIGINT NOT NULL,
  name TEXT NOT NULL,
  registered TEXT NOT NULL,
  source TEXT NOT NULL DEFAULT '',
  challenge TEXT NOT NULL DEFAULT '',
  solver TEXT NOT NULL DEFAULT '',
  parked_at BIGINT NOT NULL DEFAULT 0,
  parked_reason TEXT NOT NULL DEFAULT '',
  labels TEXT NOT NULL DEFAULT '',
  created_at BIGINT NOT NULL,
  UNIQUE (tenant_id, name)
);
CREATE INDEX domain_registered ON domain (registered);
CREATE INDEX domain_tenant ON domain (tenant_id, id);

-- Every tail of a name that begins at a label or after a hyphen, so that a
-- search for part of a name is a range in an index.
CREATE TABLE name_part (
  part TEXT NOT NULL,
  domain_id BIGINT NOT NULL REFERENCES domain (id),
  PRIMARY KEY (part, domain_id)
);

CREATE TABLE certificate (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant_id BIGINT NOT NULL,
  label TEXT NOT NULL,
  names TEXT NOT NULL,
  set_key TEXT NOT NULL,
  policy_id BIGINT NOT NULL REFERENCES policy (id),
  labels TEXT NOT NULL DEFAULT '',
  state TEXT NOT NULL,
  due_at BIGINT NOT NULL DEFAULT 0,
  due_reason TEXT NOT NULL DEFAULT '',
  lane BIGINT NOT NULL DEFAULT 50,
  urgent_at BIGINT NOT NULL DEFAULT 0,
  share TEXT NOT NULL DEFAULT '',
  waits_for TEXT NOT NULL DEFAULT '',
  failures BIGINT NOT NULL DEFAULT 0,
  problem TEXT NOT NULL DEFAULT '',
  advice TEXT NOT NULL DEFAULT '',
  failed_at BIGINT NOT NULL DEFAULT 0,
  version_id BIGINT,
  not_after BIGINT NOT NULL DEFAULT 0,
  created_at BIGINT NOT NULL,
  rev BIGINT NOT NULL DEFAULT 0,
  UNIQUE (tenant_id, label)
);
CREATE INDEX certificate_due ON certificate (due_at, id) WHERE due_at > 0;
CREATE INDEX certificate_parked ON certificate (state, due_at, id) WHERE state = 'parked' AND due_at > 0;
-- The sweep picks by lane, and by tenant where a lane is long. What a limit of a
-- CA holds back waits in the room of its bucket and is not looked at until then.
-- (SQLite alone leads these with the state, or it takes another index.)
CREATE INDEX certificate_lane ON certificate (state, lane, waits_for, due_at, id) WHERE due_at > 0 AND state = 'active';
CREATE INDEX certificate_share ON certificate (state, lane, waits_for, share, due_at, id) WHERE due_at > 0 AND state = 'active';
CREATE INDEX certificate_room ON certificate (state, waits_for) WHERE waits_for <> '' AND due_at > 0 AND state = 'active';
CREATE INDEX certificate_urgent ON certificate (state, urgent_at, id) WHERE urgent_at > 0 AND due_at > 0 AND lane > 20 AND state = 'active';
CREATE INDEX certificate_expiry ON certificate (not_after, id, state) WHERE not_after > 0 AND state <> 'removed';
CREATE INDEX certificate_state ON certificate (state, tenant_id, id);
CREATE INDEX certificate_tenant ON certificate (tenant_id, id);
CREATE INDEX certificate_kept ON certificate (tenant_id, id) WHERE state <> 'removed';
CREATE INDEX certificate_none ON certificate (tenant_id, id) WHERE version_id IS NULL AND state <> 'removed';
CREATE INDEX certificate_policy ON certificate (policy_id, id);
CREATE INDEX certificate_set ON certificate (set_key);
CREATE INDEX certificate_failing ON certificate (tenant_id, id) WHERE failures > 0 AND state <> 'removed';

CREATE TABLE certificate_name (
  certificate_id BIGINT NOT NULL REFERENCES certificate (id),
  domain_id BIGINT NOT NULL REFERENCES domain (id),
  PRIMARY KEY (domain_id, certificate_id)
);
CREATE INDEX certificate_name_certificate ON certificate_name (certificate_id);

CREATE TABLE orders (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant_id BIGINT NOT NULL,
  certificate_id BIGINT NOT NULL REFERENCES certificate (id),
  authority_id BIGINT NOT NULL REFERENCES authority (id),
  account_id BIGINT NOT NULL REFERENCES account (id),
  slot TEXT NOT NULL,
  state TEXT NOT NULL,
  manual BIGINT NOT NULL DEFAULT 0,
  lane BIGINT NOT NULL DEFAULT 50,
  url TEXT NOT NULL DEFAULT '',
  ca_status TEXT NOT NULL DEFAULT '',
  profile TEXT NOT NULL DEFAULT '',
  names TEXT NOT NULL,
  replaces BIGINT,
  replaces_note TEXT NOT NULL DEFAULT '',
  key_id BIGINT REFERENCES key (id),
  version_id BIGINT,
  attempts BIGINT NOT NULL DEFAULT 0,
  problem TEXT NOT NULL DEFAULT '',
  problem_type TEXT NOT NULL DEFAULT '',
  advice TEXT NOT NULL DEFAULT '',
  due_at BIGINT NOT NULL DEFAULT 0,
  owner TEXT NOT NULL DEFAULT '',
  lease_until BIGINT NOT NULL DEFAULT 0,
  expires_at BIGINT NOT NULL DEFAULT 0,
  placing_at BIGINT NOT NULL DEFAULT 0,
  created_at BIGINT NOT NULL,
  finished_at BIGINT NOT NULL DEFAULT 0,
  rev BIGINT NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX orders_live ON orders (certificate_id, slot) WHERE state IN ('wanted', 'open');
CREATE INDEX orders_due ON orders (lane, due_at, id) WHERE state IN ('wanted', 'open') AND manual = 0;
CREATE INDEX orders_leased ON orders (lease_until) WHERE lease_until > 0;
CREATE INDEX orders_certificate ON orders (certificate_id, id);
CREATE INDEX orders_state ON orders (tenant_id, state, id);
CREATE INDEX orders_issued ON orders (id) WHERE state = 'issued';
CREATE INDEX orders_open ON orders (tenant_id, id) WHERE state IN ('wanted', 'open');
CREATE INDEX orders_tenant ON orders (tenant_id, id);
CREATE INDEX orders_account ON orders (account_id, id);

CREATE TABLE authz (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  order_id BIGINT NOT NULL REFERENCES orders (id),
  url TEXT NOT NULL,
  name TEXT NOT NULL,
  wildcard BIGINT NOT NULL DEFAULT 0,
  status TEXT NOT NULL,
  expires_at BIGINT NOT NULL DEFAULT 0,
  challenge TEXT NOT NULL DEFAULT '',
  problem TEXT NOT NULL DEFAULT '',
  seen_at BIGINT NOT NULL,
  UNIQUE (order_id, url)
);
CREATE INDEX authz_status ON authz (status, id);

CREATE TABLE challenge (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant_id BIGINT NOT NULL,
  order_id BIGINT NOT NULL REFERENCES orders (id),
  authz_id BIGINT NOT NULL REFERENCES authz (id),
  type TEXT NOT NULL,
  solver TEXT NOT NULL DEFAULT '',
  url TEXT NOT NULL,
  name TEXT NOT NULL,
  token TEXT NOT NULL,
  key_auth TEXT NOT NULL,
  state BLOB,
  status TEXT NOT NULL DEFAULT '',
  hits BIGINT NOT NULL DEFAULT 0,
  last_hit TEXT NOT NULL DEFAULT '',
  seen TEXT NOT NULL DEFAULT '',
  intended_at BIGINT NOT NULL DEFAULT 0,
  presented_at BIGINT NOT NULL DEFAULT 0,
  answered_at BIGINT NOT NULL DEFAULT 0,
  cleaned_at BIGINT NOT NULL DEFAULT 0,
  clean_due_at BIGINT NOT NULL DEFAULT 0,
  UNIQUE (authz_id, type)
);
CREATE INDEX challenge_token ON challenge (token);
CREATE INDEX challenge_name ON challenge (name, type) WHERE cleaned_at = 0;
CREATE INDEX challenge_order ON challenge (order_id);
CREATE INDEX challenge_tenant ON challenge (tenant_id, id);
CREATE INDEX challenge_pending ON challenge (tenant_id, id) WHERE cleaned_at = 0;
CREATE INDEX challenge_clean ON challenge (clean_due_at) WHERE clean_due_at > 0;

CREATE TABLE exchange (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  order_id BIGINT,
  account_id BIGINT,
  authority_id BIGINT,
  at BIGINT NOT NULL,
  kind TEXT NOT NULL,
  method TEXT NOT NULL,
  url TEXT NOT NULL,
  status BIGINT NOT NULL,
  problem TEXT NOT NULL DEFAULT '',
  retry_after TEXT NOT NULL DEFAULT '',
  took_us BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX exchange_order ON exchange (order_id, id);
CREATE INDEX exchange_at ON exchange (at);

CREATE TABLE exchange_count (
  authority_id BIGINT NOT NULL,
  account_id BIGINT NOT NULL,
  kind TEXT NOT NULL,
  status BIGINT NOT NULL,
  day TEXT NOT NULL,
  n BIGINT NOT NULL,
  PRIMARY KEY (authority_id, account_id, kind, status, day)
);

-- What a CA told us to wait for, kept over restarts; until 0 waits for a person.
CREATE TABLE pause (
  k TEXT PRIMARY KEY,
  until BIGINT NOT NULL,
  reason TEXT NOT NULL,
  at BIGINT NOT NULL
);

-- What is left of the limits of CAs, by authority|account|limit|subject. A bucket
-- that is full, held by no order and waited for by none is as good as no row.
CREATE TABLE bucket (
  k TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  n BIGINT NOT NULL DEFAULT 0,
  period_ms BIGINT NOT NULL DEFAULT 0,
  burst BIGINT NOT NULL DEFAULT 0,
  full_at BIGINT NOT NULL DEFAULT 0,
  held BIGINT NOT NULL DEFAULT 0,
  free_at BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX bucket_name ON bucket (name, full_at);
CREATE INDEX bucket_free ON bucket (free_at, k) WHERE free_at > 0;
CREATE INDEX bucket_full ON bucket (full_at) WHERE held = 0 AND free_at = 0;

-- What an order under way may still cost, until we know what the CA counted.
CREATE TABLE hold (
  order_id BIGINT PRIMARY KEY REFERENCES orders (id),
  touches TEXT NOT NULL
);

-- What a CA granted beyond what it publishes, or what an operator knows of it.
CREATE TABLE limit_override (
  tenant_id BIGINT NOT NULL,
  authority TEXT NOT NULL,
  account TEXT NOT NULL DEFAULT '',
  domain TEXT NOT NULL DEFAULT '',
  name TEXT NOT NULL,
  n BIGINT NOT NULL,
  period_ms BIGINT NOT NULL,
  burst BIGINT NOT NULL DEFAULT 0,
  note TEXT NOT NULL DEFAULT '',
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, authority, account, domain, name)
);

CREATE TABLE version (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant_id BIGINT NOT NULL,
  certificate_id BIGINT REFERENCES certificate (id),
  order_id BIGINT REFERENCES orders (id),
  key_id BIGINT REFERENCES key (id),
  origin TEXT NOT NULL,
  names TEXT NOT NULL,
  serial TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  spki TEXT NOT NULL,
  issuer TEXT NOT NULL,
  subject TEXT NOT NULL DEFAULT '',
  authority_id BIGINT,
  profile TEXT NOT NULL DEFAULT '',
  not_before BIGINT NOT NULL,
  not_after BIGINT NOT NULL,
  chain_pem BLOB NOT NULL,
  revoked_at BIGINT NOT NULL DEFAULT 0,
  revoke_reason BIGINT NOT NULL DEFAULT 0,
  replaced_by BIGINT,
  ari_id TEXT NOT NULL DEFAULT '',
  ari_start BIGINT NOT NULL DEFAULT 0,
  ari_end BIGINT NOT NULL DEFAULT 0,
  ari_at BIGINT NOT NULL DEFAULT 0,
  ari_url TEXT NOT NULL DEFAULT '',
  ari_poll_at BIGINT NOT NULL DEFAULT 0,
  ari_problem TEXT NOT NULL DEFAULT '',
  created_at BIGINT NOT NULL,
  rev BIGINT NOT NULL DEFAULT 0,
  UNIQUE (tenant_id, fingerprint)
);
CREATE INDEX version_certificate ON version (certificate_id, id);
CREATE INDEX version_key ON version (key_id, id);
CREATE INDEX version_tenant ON version (tenant_id, id);
CREATE INDEX version_serial ON version (tenant_id, serial, id);
CREATE INDEX version_spki ON version (tenant_id, spki, id);
CREATE INDEX version_issuer ON version (tenant_id, issuer, id);
CREATE INDEX version_subject ON version (tenant_id, subject, id);
CREATE INDEX version_ari ON version (tenant_id, ari_id, id);
CREATE INDEX version_ari_poll ON version (ari_poll_at, id) WHERE ari_poll_at > 0;
CREATE INDEX version_expiry ON version (not_after, id);

CREATE TABLE version_chain (
  version_id BIGINT NOT NULL REFERENCES version (id),
  position BIGINT NOT NULL,
  issuer TEXT NOT NULL,
  pem BLOB NOT NULL,
  PRIMARY KEY (version_id, position)
);

CREATE TABLE version_name (
  name TEXT NOT NULL,
  version_id BIGINT NOT NULL REFERENCES version (id),
  PRIMARY KEY (name, version_id)
);

CREATE TABLE slot (
  tenant_id BIGINT NOT NULL,
  name TEXT NOT NULL,
  slot TEXT NOT NULL,
  version_id BIGINT NOT NULL REFERENCES version (id),
  since BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, name, slot)
);
CREATE INDEX slot_version ON slot (version_id);

CREATE TABLE target (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant_id BIGINT NOT NULL,
  label TEXT NOT NULL,
  type TEXT NOT NULL,
  spec TEXT NOT NULL DEFAULT '{}',
  probe TEXT NOT NULL DEFAULT '[]',
  proof TEXT NOT NULL DEFAULT 'all',
  labels TEXT NOT NULL DEFAULT '',
  paused BIGINT NOT NULL DEFAULT 0,
  rev BIGINT NOT NULL DEFAULT 0,
  UNIQUE (tenant_id, label)
);

CREATE TABLE certificate_target (
  certificate_id BIGINT NOT NULL REFERENCES certificate (id),
  target_id BIGINT NOT NULL REFERENCES target (id),
  PRIMARY KEY (certificate_id, target_id)
);
CREATE INDEX certificate_target_target ON certificate_target (target_id, certificate_id);

CREATE TABLE delivery (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant_id BIGINT NOT NULL,
  version_id BIGINT NOT NULL REFERENCES version (id),
  target_id BIGINT NOT NULL REFERENCES target (id),
  certificate_id BIGINT NOT NULL REFERENCES certificate (id),
  state TEXT NOT NULL,
  attempts BIGINT NOT NULL DEFAULT 0,
  receipt BLOB,
  problem TEXT NOT NULL DEFAULT '',
  advice TEXT NOT NULL DEFAULT '',
  due_at BIGINT NOT NULL DEFAULT 0,
  owner TEXT NOT NULL DEFAULT '',
  lease_until BIGINT NOT NULL DEFAULT 0,
  sent_at BIGINT NOT NULL DEFAULT 0,
  applied_at BIGINT NOT NULL DEFAULT 0,
  served_at BIGINT NOT NULL DEFAULT 0,
  created_at BIGINT NOT NULL,
  rev BIGINT NOT NULL DEFAULT 0,
  UNIQUE (version_id, target_id)
);
CREATE INDEX delivery_due ON delivery (due_at, id) WHERE due_at > 0;
CREATE INDEX delivery_leased ON delivery (lease_until) WHERE lease_until > 0;
CREATE INDEX delivery_certificate ON delivery (certificate_id, id);
CREATE INDEX delivery_target ON delivery (target_id, id);
CREATE INDEX delivery_open ON delivery (created_at) WHERE state IN ('due', 'sent', 'failed');
CREATE INDEX delivery_open_tenant ON delivery (tenant_id, id) WHERE state IN ('due', 'sent', 'failed');
CREATE INDEX delivery_state ON delivery (state, tenant_id, id);
CREATE INDEX delivery_tenant ON delivery (tenant_id, id);
CREATE INDEX delivery_receipt ON delivery (certificate_id, target_id, version_id);

CREATE TABLE sighting (
  delivery_id BIGINT NOT NULL REFERENCES delivery (id),
  name TEXT NOT NULL,
  address TEXT NOT NULL,
  fingerprint TEXT NOT NULL DEFAULT '',
  problem TEXT NOT NULL DEFAULT '',
  at BIGINT NOT NULL,
  PRIMARY KEY (delivery_id, name, address)
);

CREATE TABLE event (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  xact BIGINT NOT NULL DEFAULT 0,
  tenant_id BIGINT NOT NULL,
  at BIGINT NOT NULL,
  kind TEXT NOT NULL,
  certificate_id BIGINT,
  order_id BIGINT,
  version_id BIGINT,
  target_id BIGINT,
  actor TEXT NOT NULL,
  msg TEXT NOT NULL,
  data TEXT NOT NULL DEFAULT ''
);
CREATE INDEX event_certificate ON event (certificate_id, id) WHERE certificate_id IS NOT NULL;
CREATE INDEX event_at ON event (at);
CREATE INDEX event_tenant ON event (tenant_id, id);
CREATE INDEX event_kind ON event (tenant_id, kind, id);
CREATE INDEX event_cursor ON event (tenant_id, xact, id);
CREATE INDEX event_xact ON event (xact, id);

-- Readers follow this view: what it shows, it shows in its final order.
CREATE VIEW event_settled AS SELECT * FROM event;

CREATE TABLE token (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant_id BIGINT NOT NULL,
  label TEXT NOT NULL,
  hash TEXT NOT NULL UNIQUE,
  scopes TEXT NOT NULL,
  labels TEXT NOT NULL DEFAULT '',
  created_at BIGINT NOT NULL,
  used_at BIGINT NOT NULL DEFAULT 0,
  expires_at BIGINT NOT NULL DEFAULT 0,
  revoked_at BIGINT NOT NULL DEFAULT 0,
  UNIQUE (tenant_id, label)
);

CREATE TABLE idempotency (
  tenant_id BIGINT NOT NULL,
  k TEXT NOT NULL,
  request TEXT NOT NULL,
  response TEXT NOT NULL,
  at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, k)
);

CREATE TABLE acmedns (
  tenant_id BIGINT NOT NULL,
  solver TEXT NOT NULL,
  name TEXT NOT NULL,
  fulldomain TEXT NOT NULL,
  sealed BLOB NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, solver, name)
);

-- Requests on the challenge port that fit nothing: counted by hour, with one sample.
CREATE TABLE stray (
  hour BIGINT NOT NULL,
  n BIGINT NOT NULL,
  sample TEXT NOT NULL,
  client TEXT NOT NULL,
  PRIMARY KEY (hour)
);
