-- oldest: 1
-- When a version was last taken over of a certificate that somebody else renews.
ALTER TABLE certificate ADD COLUMN external_at BIGINT NOT NULL DEFAULT 0;

-- When an agent counts as silent if it says nothing until then; zero when that
-- is known already.
ALTER TABLE agent ADD COLUMN quiet_at BIGINT NOT NULL DEFAULT 0;
UPDATE agent SET quiet_at = 1 WHERE spki <> '' AND revoked_at = 0;
CREATE INDEX agent_quiet ON agent (quiet_at) WHERE quiet_at > 0;
