// Package acme speaks RFC 8555 and RFC 9773 with a CA, one request an
// operation.
//
// Nothing is repeated in here except a request that the CA refused for its
// nonce (RFC 8555 section 6.5), or for a signature by a key that the account has
// no more, because then the CA did nothing. Whoever calls
// keeps the state and asks again: a request whose answer was lost comes back as
// [ErrLost], and only the CA knows what became of it.
//
//	one operation = [GET directory] [HEAD newNonce] POST ... (badNonce: POST again, at most 5 times)
//
// The CA's refusals are [Problem]s, whatever they looked like on the wire; a CA
// that does not answer is a *certfleet.Error of kind Unreachable. Challenge
// tokens, key authorizations, nonces, signatures and external account bindings
// never reach an error, the log or the record.
package acme
