// Package redis is the target that writes certificates into Redis, where edges
// look them up by SNI.
//
// Layouts 1 and 2 are those of peter_sslers, so that edges which read them keep
// running. All values are PEM text, names are lower case:
//
//	d1:NAME  hash  c, p, i: decimal ids of certificate, key and chain
//	c:ID     leaf certificate     p:ID  private key     i:ID  the chain above the leaf
//	d2:NAME  hash  f: full chain, p: private key
//
// An id in layout 1 is the first 63 bits of the SHA-256 of what it stands for
// (of the public key, for p). It is not our version's number: in a database that
// another manager filled before, number 5 is another certificate that names still
// refer to, and taking it over would break their pairs.
//
// Layout 3 is our own. A name has one value, a key is stored once however many
// names use it, and may be sealed:
//
//	d3:NAME   hash    g: generation (the version), n: not-after in Unix seconds,
//	                  f: full chain, k: key id, o: the certificate's label;
//	                  g2, n2, f2, k2, o2: the RSA pair beside an ECDSA pair
//	k3:KEYID  string  private key as PEM, or sealed:v1:SEALID:BASE64
//
// A key id is the SHA-256 of the subject public key info in lower-case hex.
// SEALID is the beginning of the SHA-256 of the sealing key; BASE64 is nonce,
// ciphertext and tag of AES-256-GCM with "certfleet:key:KEYID" as additional data.
//
// What only this package reads begins with "certfleet:", a prefix before it all
// is configurable:
//
//	certfleet:cert:LABEL    what of this certificate was written, and what must still go
//	certfleet:users:{KEY}   the certificates that use a shared key; the last one to go deletes it
//	certfleet:owner:{KEY}   whose a d1: or d2: hash is, and of which generation
//	certfleet:going:{KEY}   in a cluster, for a minute: whose of a key is about to go
//	certfleet:changed       channel: a number, and names that changed, or *; space between them
//	certfleet:changes       the number of the last message
//	certfleet:prime         how far a full write has come
//
// No script touches two slots of a Redis Cluster; the order of the writes keeps a
// pair whole: shared values first, then names, then what is no longer used. Where a
// full write and a delivery of one certificate meet, the record is the later
// claimant's, and the other takes back what it wrote.
package redis
