-- oldest: 1
-- What was replaced or revoked is listed without reading what is in use.
CREATE INDEX version_past ON version (tenant_id, id) WHERE replaced_by IS NOT NULL OR revoked_at > 0;
