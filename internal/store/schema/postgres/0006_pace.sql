-- oldest: 1
-- How fast, with whom and after whom a target is delivered to.
ALTER TABLE target ADD COLUMN grp TEXT NOT NULL DEFAULT '';
ALTER TABLE target ADD COLUMN canary BIGINT NOT NULL DEFAULT 0;
ALTER TABLE target ADD COLUMN push_mode TEXT NOT NULL DEFAULT '';
ALTER TABLE target ADD COLUMN concurrency BIGINT NOT NULL DEFAULT 0;
ALTER TABLE target ADD COLUMN rate BIGINT NOT NULL DEFAULT 0;
ALTER TABLE target ADD COLUMN pace_at BIGINT NOT NULL DEFAULT 0;
CREATE INDEX target_group ON target (tenant_id, grp) WHERE grp <> '';
ALTER TABLE delivery ADD COLUMN held BIGINT NOT NULL DEFAULT 0;
ALTER TABLE delivery ADD COLUMN rollback BIGINT NOT NULL DEFAULT 0;
-- What is due at targets that rest now is passed by without reading its rows.
DROP INDEX delivery_due;
CREATE INDEX delivery_due ON delivery (due_at, id, lease_until, target_id, state) WHERE due_at > 0;
