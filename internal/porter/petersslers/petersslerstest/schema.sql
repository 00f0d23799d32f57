-- The tables of a peter_sslers 1.0 database that tests fill, with the columns that
-- matter to whoever reads them, in the types that they have there.
CREATE TABLE acme_server (id INTEGER NOT NULL PRIMARY KEY, timestamp_created DATETIME NOT NULL, name VARCHAR(64) NOT NULL UNIQUE,
	directory_url VARCHAR(255) NOT NULL UNIQUE, server VARCHAR(255) NOT NULL UNIQUE, is_default BOOLEAN, is_enabled BOOLEAN NOT NULL,
	is_supports_ari__version VARCHAR(32), is_unlimited_pending_authz BOOLEAN, is_retry_challenges BOOLEAN,
	protocol VARCHAR(32) NOT NULL CHECK (protocol = 'acme-v2'), server_ca_cert_bundle TEXT, profiles TEXT);
CREATE TABLE acme_account (id INTEGER NOT NULL PRIMARY KEY, timestamp_created DATETIME NOT NULL, contact VARCHAR(255), name VARCHAR(64) UNIQUE,
	account_url VARCHAR(255) UNIQUE, account_url_sha256 VARCHAR(64) UNIQUE, is_active BOOLEAN NOT NULL, is_render_in_selects BOOLEAN,
	acme_server_id INTEGER NOT NULL, private_key_technology_id INTEGER NOT NULL, order_default_private_key_technology_id INTEGER NOT NULL,
	order_default_private_key_cycle_id INTEGER NOT NULL, order_default_acme_profile VARCHAR(64), timestamp_deactivated DATETIME);
CREATE TABLE acme_account_key (id INTEGER NOT NULL PRIMARY KEY, acme_account_id INTEGER NOT NULL, is_active BOOLEAN, timestamp_created DATETIME NOT NULL,
	key_technology_id INTEGER NOT NULL, key_pem TEXT NOT NULL, key_pem_md5 VARCHAR(32) NOT NULL, spki_sha256 VARCHAR(64) NOT NULL,
	UNIQUE (acme_account_id, is_active));
CREATE TABLE acme_account_2_terms_of_service (id INTEGER NOT NULL PRIMARY KEY, acme_account_id INTEGER NOT NULL, is_active BOOLEAN, terms_of_service VARCHAR(255) NOT NULL);
CREATE TABLE acme_dns_server (id INTEGER NOT NULL PRIMARY KEY, timestamp_created DATETIME NOT NULL, is_active BOOLEAN NOT NULL, is_global_default BOOLEAN,
	api_url VARCHAR(255) NOT NULL, domain VARCHAR(255) NOT NULL);
CREATE TABLE acme_dns_server_account (id INTEGER NOT NULL PRIMARY KEY, timestamp_created DATETIME NOT NULL, acme_dns_server_id INTEGER NOT NULL, domain_id INTEGER NOT NULL,
	is_active BOOLEAN, username VARCHAR(255) NOT NULL, password VARCHAR(255) NOT NULL, fulldomain VARCHAR(255) NOT NULL, subdomain VARCHAR(255) NOT NULL, allowfrom VARCHAR(255));
CREATE TABLE acme_order (id INTEGER NOT NULL PRIMARY KEY, timestamp_created DATETIME NOT NULL, certificate_type_id INTEGER NOT NULL, order_url VARCHAR(255),
	acme_account_id INTEGER NOT NULL, x509_certificate_id INTEGER, renewal_configuration_id INTEGER NOT NULL, unique_fqdn_set_id INTEGER NOT NULL);
CREATE TABLE domain (id INTEGER NOT NULL PRIMARY KEY, domain_name VARCHAR(255) NOT NULL, address_type_id INTEGER NOT NULL, registered VARCHAR(255), suffix VARCHAR(255),
	timestamp_created DATETIME NOT NULL, x509_certificate_id__latest_single INTEGER, x509_certificate_id__latest_multi INTEGER);
CREATE TABLE domain_blocklisted (id INTEGER NOT NULL PRIMARY KEY, domain_name VARCHAR(255) NOT NULL);
CREATE TABLE enrollment_factory (id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(255) NOT NULL UNIQUE, label_template VARCHAR(64) NOT NULL,
	domain_template_http01 TEXT, domain_template_dns01 TEXT, is_export_filesystem_id INTEGER NOT NULL, acme_challenge_duplicate_strategy_id INTEGER NOT NULL, note TEXT,
	acme_account_id__primary INTEGER NOT NULL, private_key_technology_id__primary INTEGER NOT NULL, private_key_cycle_id__primary INTEGER NOT NULL, acme_profile__primary VARCHAR(64),
	acme_account_id__backup INTEGER, private_key_technology_id__backup INTEGER, private_key_cycle_id__backup INTEGER, acme_profile__backup VARCHAR(64));
CREATE TABLE private_key (id INTEGER NOT NULL PRIMARY KEY, timestamp_created DATETIME NOT NULL, key_technology_id INTEGER NOT NULL, key_pem TEXT NOT NULL, key_pem_md5 VARCHAR(32) NOT NULL,
	is_active BOOLEAN NOT NULL, is_compromised BOOLEAN, private_key_source_id INTEGER NOT NULL, private_key_type_id INTEGER NOT NULL, acme_account_id__owner INTEGER);
CREATE TABLE rate_limited (id INTEGER NOT NULL PRIMARY KEY, timestamp_created DATETIME NOT NULL, acme_server_id INTEGER NOT NULL, acme_account_id INTEGER);
CREATE TABLE renewal_configuration (id INTEGER NOT NULL PRIMARY KEY, timestamp_created DATETIME NOT NULL, is_active BOOLEAN NOT NULL, label VARCHAR(256),
	is_save_alternate_chains BOOLEAN NOT NULL, is_export_filesystem_id INTEGER NOT NULL, uniquely_challenged_fqdn_set_id INTEGER NOT NULL, unique_fqdn_set_id INTEGER NOT NULL,
	acme_challenge_duplicate_strategy_id INTEGER NOT NULL, enrollment_factory_id__via INTEGER, system_configuration_id__via INTEGER, note TEXT,
	acme_account_id__primary INTEGER NOT NULL, private_key_technology_id__primary INTEGER NOT NULL, private_key_cycle_id__primary INTEGER NOT NULL, acme_profile__primary VARCHAR(64),
	acme_account_id__backup INTEGER, private_key_technology_id__backup INTEGER, private_key_cycle_id__backup INTEGER, acme_profile__backup VARCHAR(64),
	UNIQUE (label, enrollment_factory_id__via));
CREATE TABLE system_configuration (id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(255) NOT NULL UNIQUE, is_configured BOOLEAN,
	acme_account_id__primary INTEGER NOT NULL, private_key_technology_id__primary INTEGER NOT NULL, private_key_cycle_id__primary INTEGER NOT NULL, acme_profile__primary VARCHAR(64),
	acme_account_id__backup INTEGER, private_key_technology_id__backup INTEGER, private_key_cycle_id__backup INTEGER, acme_profile__backup VARCHAR(64));
CREATE TABLE unique_fqdn_set (id INTEGER NOT NULL PRIMARY KEY, domain_ids_string TEXT NOT NULL UNIQUE, count_domains INTEGER NOT NULL, timestamp_created DATETIME NOT NULL);
CREATE TABLE unique_fqdn_set_2_domain (unique_fqdn_set_id INTEGER NOT NULL, domain_id INTEGER NOT NULL, PRIMARY KEY (unique_fqdn_set_id, domain_id));
CREATE TABLE uniquely_challenged_fqdn_set (id INTEGER NOT NULL PRIMARY KEY, unique_fqdn_set_id INTEGER NOT NULL, domain_challenges_serialized TEXT NOT NULL UNIQUE, timestamp_created DATETIME NOT NULL);
CREATE TABLE uniquely_challenged_fqdn_set_2_domain (uniquely_challenged_fqdn_set_id INTEGER NOT NULL, domain_id INTEGER NOT NULL, acme_challenge_type_id INTEGER NOT NULL,
	PRIMARY KEY (uniquely_challenged_fqdn_set_id, domain_id, acme_challenge_type_id));
CREATE TABLE x509_certificate (id INTEGER NOT NULL PRIMARY KEY, timestamp_created DATETIME NOT NULL, timestamp_not_before DATETIME NOT NULL, timestamp_not_after DATETIME NOT NULL,
	is_single_domain_cert BOOLEAN, key_technology_id INTEGER NOT NULL, cert_pem TEXT NOT NULL UNIQUE, cert_pem_md5 VARCHAR(32) NOT NULL UNIQUE, is_active BOOLEAN NOT NULL,
	is_deactivated BOOLEAN, is_revoked BOOLEAN, is_compromised_private_key BOOLEAN, unique_fqdn_set_id INTEGER NOT NULL, cert_serial VARCHAR(255) NOT NULL,
	private_key_id INTEGER NOT NULL, certificate_type_id INTEGER NOT NULL);
CREATE TABLE x509_certificate_chain (id INTEGER NOT NULL PRIMARY KEY, x509_certificate_id INTEGER NOT NULL, x509_certificate_trust_chain_id INTEGER NOT NULL, is_upstream_default BOOLEAN);
CREATE TABLE x509_certificate_trust_chain (id INTEGER NOT NULL PRIMARY KEY, display_name VARCHAR(255) NOT NULL, timestamp_created DATETIME NOT NULL, chain_pem TEXT NOT NULL UNIQUE,
	chain_pem_md5 VARCHAR(32) NOT NULL UNIQUE, chain_length INTEGER NOT NULL, x509_certificate_trusted_0_id INTEGER NOT NULL, x509_certificate_trusted_n_id INTEGER NOT NULL);
CREATE TABLE x509_certificate_trusted (id INTEGER NOT NULL PRIMARY KEY, display_name VARCHAR(255) NOT NULL, is_trusted_root BOOLEAN, key_technology_id INTEGER NOT NULL, cert_pem TEXT NOT NULL UNIQUE);
CREATE TABLE x509_certificate_trust_preference_policy (id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(64) UNIQUE);
CREATE TABLE x509_certificate_trust_preference_policy_item (id INTEGER NOT NULL PRIMARY KEY, x509_certificate_trust_preference_policy_id INTEGER NOT NULL, slot_id INTEGER NOT NULL,
	x509_certificate_trusted_id INTEGER NOT NULL, UNIQUE (x509_certificate_trust_preference_policy_id, slot_id));
