// Package issue turns a certificate that is wanted into a version that is
// stored: it opens orders and takes them, step by step, through a CA.
//
// The CA keeps the state; we keep the order's URL, what was presented, and the
// key. Our own states are few:
//
//	wanted --place--> open --present, answer, make key, finalize, download--> issued
//	   \_______________\__________________________________________________--> failed
//
// A step asks the CA how the order stands, does the one next thing, commits and
// returns. It remembers nothing: whatever process comes next asks again, so a
// crash at any instruction costs at most one extra order (when it happens
// between new-order's answer and its commit) and never a key that does not fit,
// because the key is committed, sealed, before its request leaves. What the CA has
// just answered to new-order and finalize is committed and gone on with at once.
//
// What the CA said of authorizations and challenges is recorded for people and
// never believed over its answer now. The trusted clock is this machine's; the
// CA's is used only for the moments that it names itself.
package issue
