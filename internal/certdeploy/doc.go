// Package certdeploy is certdeploy-server and certdeploy-client under their own
// names: the same options, environment, files and wire, without a manager.
//
//	certbot --hook--> queue --push over SFTP--> staging --whole?--> destination --services
//	   ^                |
//	   +-- renew_exec <-+-- schedule, by this machine's clock and time zone
//
// A job is in the queue from the hook until its push succeeded, so that neither a
// crash nor a host that is away loses one. The queue is a small SQLite file beside
// the queue.json that certdeploy itself keeps, whose jobs are taken over.
package certdeploy
