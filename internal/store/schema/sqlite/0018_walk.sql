-- oldest: 1
-- Lists that are narrowed by labels of certificates are walked here; only the rows
-- of a page are read.
DROP INDEX version_tenant;
CREATE INDEX version_tenant ON version (tenant_id, id, certificate_id);
DROP INDEX orders_tenant;
CREATE INDEX orders_tenant ON orders (tenant_id, id, certificate_id);
DROP INDEX delivery_tenant;
CREATE INDEX delivery_tenant ON delivery (tenant_id, id, certificate_id);
