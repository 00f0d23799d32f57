-- oldest: 1
ALTER TABLE account ADD COLUMN labels TEXT NOT NULL DEFAULT '';

-- Every tail of an issuer's name that begins at a word, in lower case, so that a
-- search for part of it is a range in an index. What was issued before this step
-- is found by its whole common name, and by all of it once that issuer is seen again.
CREATE TABLE issuer_part (
  tenant_id BIGINT NOT NULL,
  part TEXT COLLATE "C" NOT NULL,
  issuer TEXT NOT NULL,
  PRIMARY KEY (tenant_id, part, issuer)
);
INSERT INTO issuer_part (tenant_id, part, issuer) SELECT DISTINCT tenant_id, lower(issuer), issuer FROM version WHERE issuer <> '';
