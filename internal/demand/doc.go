// Package demand gets certificates for names that are asked for in the moment of
// a handshake, where the rules allow it.
//
// Anybody can ask an edge for any name, so the order of the questions is the
// point: the cheapest come first, and a CA is the last to hear of it.
//
//	said no lately? -> is it a name that could be ours? -> is one on its way?
//	  -> may it: inventory, pattern, ask URL -> is the budget left? -> certificate, due now
//
// The caller waits for the certificate for a bounded time; after that the order
// goes on without it. One name is worked on once, however many ask. Whatever
// said no is remembered for a while, in a bounded place.
package demand
