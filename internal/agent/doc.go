// Package agent is the receiving side beside a service: certificates come in by
// SFTP, go live when they are whole and good, and the service is told.
//
//	pusher --SFTP--> staging/NAME/*.pem --checked--> live/NAME --updaters--> service
//	                      |                             |
//	            waits, or is refused           last good pair stays
//
// What is in staging is a proposal. It goes live as a whole pair or not at all,
// and leaves staging once it is live. That services are to be told of a change is
// noted on disk before the change, so a crash loses neither pair nor reload. The
// clock is this machine's, and is trusted.
package agent
