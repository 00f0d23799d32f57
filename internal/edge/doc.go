// Package edge finds what a name is to serve, for edges that ask in the moment of
// a handshake.
//
//	name -> slots of the name and of its wildcard -> the best version -> chain and key
//
// What was found stays in memory, opened, for as long as it is asked for. It is
// never older than a second: after that the slots are read again, which is one
// question by an index, and the key is opened again only when the version changed.
// What was not found is remembered too, in a place of its own, so that a flood of
// unknown names costs no known one its place.
//
// No key leaves unrecorded: the first time in an hour that an edge is given a
// version is in the store before the answer is given, and every further time is
// counted and written some seconds later.
package edge
