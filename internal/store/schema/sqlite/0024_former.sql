-- oldest: 1
-- What a system that was taken over called an object by number, so that what holds
-- such a number still finds the object.
CREATE TABLE former (
  tenant_id BIGINT NOT NULL,
  kind TEXT NOT NULL,
  former_id BIGINT NOT NULL,
  object_id BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, kind, former_id)
);
CREATE INDEX former_object ON former (tenant_id, kind, object_id, former_id);
