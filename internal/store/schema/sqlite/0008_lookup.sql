-- oldest: 1
-- What edges looked up, counted per edge, version and hour.
CREATE TABLE lookup (
  edge TEXT NOT NULL,
  version_id BIGINT NOT NULL REFERENCES version (id),
  hour BIGINT NOT NULL,
  n BIGINT NOT NULL,
  PRIMARY KEY (version_id, hour, edge)
);
CREATE INDEX lookup_hour ON lookup (hour, version_id, edge);
