// Package keystore makes, seals and opens keys: everything secret in the
// database is sealed here before it goes there.
//
// There are three layers. The sealing key (a certfleet.Keeper) is outside the
// database and wraps a handful of data keys; a data key seals the rows; a row's
// additional data (RFC 5116 section 2.1) binds what is sealed to its place.
// Changing the sealing key rewraps the data keys and touches no row.
//
//	sealing key --wraps--> data key --seals--> row
//	(file, env, KMS)       (table data_key)    (keys, solver state, receipts)
//
// Sealed form, version 1, 37 bytes longer than the plain one:
//
//	1 byte   version, 0x01
//	8 bytes  id of the data key, big endian
//	12 bytes nonce, random
//	         AES-256-GCM of the plain form; the 9 bytes above and the caller's
//	         additional data are authenticated with it
//
// A data key must seal fewer than 2^32 times (NIST SP 800-38D section 8.3),
// because nonces are random: a million certificates renewed every three days
// reach that in 35 years, and NewDataKey starts the count anew.
package keystore
