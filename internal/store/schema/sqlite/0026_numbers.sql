-- oldest: 1
-- The highest number of each kind that a system which was taken over had: up to it,
-- a number that was not kept means nothing.
CREATE TABLE former_highest (
  tenant_id BIGINT NOT NULL,
  kind TEXT NOT NULL,
  highest BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, kind)
);
INSERT INTO former_highest (tenant_id, kind, highest) SELECT tenant_id, kind, max(former_id) FROM former GROUP BY tenant_id, kind;
-- The number by which an account at an acme-dns server is known; zero until it is
-- worked out.
ALTER TABLE acmedns ADD COLUMN number BIGINT NOT NULL DEFAULT 0;
CREATE INDEX acmedns_number ON acmedns (tenant_id, number);
