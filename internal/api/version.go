package api

import "time"

// Version is one issued chain.
type Version struct {
	ID            int64     `json:"id"`
	CertificateID int64     `json:"certificate_id,omitempty"`
	OrderID       int64     `json:"order_id,omitempty"`
	KeyID         int64     `json:"key_id,omitempty" doc:"Absent when the private key is not here."`
	Origin        string    `json:"origin" doc:"issued or imported."`
	Names         []string  `json:"names" nullable:"false"`
	Serial        string    `json:"serial" doc:"Lower-case hex."`
	Fingerprint   string    `json:"fingerprint" doc:"SHA-256 of the leaf, lower-case hex."`
	SPKI          string    `json:"spki" doc:"SHA-256 of the subject public key info, lower-case hex."`
	Issuer        string    `json:"issuer"`
	Subject       string    `json:"subject,omitempty"`
	AuthorityID   int64     `json:"authority_id,omitempty"`
	Profile       string    `json:"profile,omitempty"`
	NotBefore     time.Time `json:"not_before"`
	NotAfter      time.Time `json:"not_after"`
	RevokedAt     time.Time `json:"revoked_at,omitzero"`
	RevokeReason  int       `json:"revoke_reason,omitempty" doc:"RFC 5280 section 5.3.1."`
	ReplacedBy    int64     `json:"replaced_by,omitempty"`
	ARIID         string    `json:"ari_id,omitempty" doc:"Its name in renewal information (RFC 9773)."`
	ARIStart      time.Time `json:"ari_start,omitzero" doc:"The renewal window the CA suggests."`
	ARIEnd        time.Time `json:"ari_end,omitzero"`
	ARIAt         time.Time `json:"ari_at,omitzero" doc:"The one instant drawn in it."`
	ARIURL        string    `json:"ari_url,omitempty" doc:"The CA's explanation."`
	ARIPollAt     time.Time `json:"ari_poll_at,omitzero"`
	ARIProblem    string    `json:"ari_problem,omitempty"`
	CreatedAt     time.Time `json:"created_at"`
	Rev           int64     `json:"rev"`
}

// VersionStory is a version with its chains; certificates are public.
type VersionStory struct {
	Version
	ChainPEM string  `json:"chain_pem" doc:"The chain in use, leaf first."`
	Chains   []Chain `json:"chains" doc:"All chains, the CA's default first." nullable:"false"`
}

// Chain is one way from a version's leaf to a root.
type Chain struct {
	Position int    `json:"position"`
	Issuer   string `json:"issuer" doc:"The common name of the topmost issuer."`
	PEM      string `json:"pem"`
}

// VersionQuery narrows a list of versions, newest first.
type VersionQuery struct {
	Paging
	Labelled
	Certificate string `query:"certificate" doc:"The label or id of a certificate."`
	Key         int64  `query:"key" doc:"The id of a key."`
	Past        bool   `query:"past" doc:"Only those that were replaced or revoked."`
	Unexpired   bool   `query:"unexpired" doc:"Only those that have not expired."`
}

// Revocation says why a version is revoked.
type Revocation struct {
	Reason int `json:"reason,omitempty" minimum:"0" maximum:"10" doc:"RFC 5280 section 5.3.1: 0 unspecified, 1 key compromise, 3 affiliation changed, 4 superseded, 5 cessation of operation."`
}

// ExportRequest says in what form a version is wanted with its private key.
type ExportRequest struct {
	Format   string `json:"format,omitempty" enum:"pem,der,pkcs12,jks,zip" doc:"Empty means pem."`
	Password string `json:"password,omitempty" writeOnly:"true" doc:"Protects pkcs12 and jks, which need one."`
	Chain    int    `json:"chain,omitempty" minimum:"0" doc:"The position of another chain than the one in use."`
}

// Export is a version with its private key: the one answer, beside a new
// token, that holds a secret.
type Export struct {
	File  string `json:"file" doc:"A name for the file."`
	Media string `json:"media" doc:"Its media type."`
	Data  []byte `json:"data" doc:"The file, base64."`
}

// Key is a private key's public side and its story.
type Key struct {
	ID            int64        `json:"id"`
	Use           string       `json:"use" doc:"certificate or account."`
	Type          string       `json:"type"`
	SPKI          string       `json:"spki"`
	Custody       string       `json:"custody" doc:"central: sealed in our database; external: somewhere else."`
	Origin        string       `json:"origin" doc:"generated or imported."`
	OrderID       int64        `json:"order_id,omitempty" doc:"The order it was made for."`
	ReplacesKeyID int64        `json:"replaces_key_id,omitempty"`
	CompromisedAt time.Time    `json:"compromised_at,omitzero"`
	CreatedAt     time.Time    `json:"created_at"`
	Versions      []int64      `json:"versions,omitempty" doc:"The newest versions that use it; on a single key only." nullable:"false"`
	Openings      []KeyOpening `json:"openings,omitempty" doc:"Who opened it and why; on a single key only." nullable:"false"`
}

// KeyOpening is how often somebody opened a key in one hour, and why.
type KeyOpening struct {
	Actor  string    `json:"actor"`
	Reason string    `json:"reason"`
	Hour   time.Time `json:"hour"`
	N      int64     `json:"n"`
}

// KeyQuery narrows a list of keys.
type KeyQuery struct {
	Paging
	Labelled
	Use         string `query:"use" doc:"certificate or account."`
	Certificate string `query:"certificate" doc:"The label or id of a certificate."`
}

// Import brings a certificate along that came from elsewhere.
type Import struct {
	Label    string            `json:"label,omitempty" doc:"The certificate it belongs to or makes; empty means its first name."`
	ChainPEM string            `json:"chain_pem,omitempty" doc:"The chain, leaf first or in any order."`
	KeyPEM   string            `json:"key_pem,omitempty" writeOnly:"true" doc:"Its private key. It is sealed at once."`
	PEM      string            `json:"pem,omitempty" writeOnly:"true" doc:"Chain and key in one text, instead of the two."`
	Policy   string            `json:"policy,omitempty"`
	Targets  []string          `json:"targets,omitempty"`
	Labels   map[string]string `json:"labels,omitempty"`
	External string            `json:"external,omitempty" enum:"certbot,peter_sslers" doc:"Who goes on to renew it. The certificate is marked so, unless it is renewed here already."`
	Manage   bool              `json:"manage,omitempty" doc:"Renew it from now on; else it is paused until it is resumed."`
	Force    bool              `json:"force,omitempty" doc:"Take it although it has expired or is self-signed."`

	Challenge string `json:"challenge,omitempty"`
	Solver    string `json:"solver,omitempty"`

	Proofs     []EnrolledName `json:"proofs,omitempty" doc:"How single names are proved, in place of challenge; a solver is for those by dns-01. Names that are not in it stay as they are."`
	Alternates []string       `json:"alternates,omitempty" maxItems:"8" doc:"Other chains of the same leaf, each with the leaf."`
	KeyMadeAt  time.Time      `json:"key_made_at,omitzero" doc:"Since when there is the key, for policies that keep one for a year; absent means now."`
	Backup     bool           `json:"backup,omitempty" doc:"It is the second certificate of one that is here, and is kept warm. Label names that one, whose policy has a backup."`
}

// Imported is what came of an import.
type Imported struct {
	Certificate CertificateAnswer `json:"certificate"`
	Version     Version           `json:"version"`
	Known       bool              `json:"known,omitempty" doc:"The version was here before."`
}
