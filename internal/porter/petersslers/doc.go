// Package petersslers reads the SQLite database of a peter_sslers server, which may go on running meanwhile.
//
// The file is opened for reading alone. Each batch of rows is a short read of its
// own, so that a server which writes at the same time never waits for long. What
// is small is read at once; PEM texts, which are most of the file, are read one by
// one when they are wanted.
package petersslers
