package certdeploy

// serverOptions are those of certdeploy-server.
type serverOptions struct {
	*options
	config, lineage, domains    *string
	daemon, renew, push, strict *bool
	level, file                 *string
	sftpLevel, sftpFile         *string
}

const serverAbout = `Push renewed certificates from certbot's folder to other machines: as certbot's
deploy hook, as a daemon, or once. It reads the configuration of certdeploy.`

// The spellings with an O before the L are what certdeploy itself reads; those
// without SERVER stand in its manual.
func newServerOptions() *serverOptions {
	o := &serverOptions{options: newOptions("certdeploy-server", serverAbout)}
	o.config = o.text("config", "FILE", "the configuration; /etc/certdeploy/server.yml if not given", "CERTDEPLOY_SERVER_CONFIG")
	o.lineage = o.text("lineage", "DIR", "the lineage that was renewed", "RENEWED_LINEAGE")
	o.domains = o.text("domains", "NAMES", "its names, with spaces between", "RENEWED_DOMAINS")
	o.daemon = o.boolean("daemon", "renew on schedule and push what is queued, until stopped", "CERTDEPLOY_SERVER_DAEMON")
	o.renew = o.boolean("renew", "run the renew command once", "CERTDEPLOY_SERVER_RENEW_ONLY", "CERTDEPLOY_RENEW_ONLY")
	o.push = o.boolean("push", "push what is queued once", "CERTDEPOLY_SERVER_PUSH_ONLY", "CERTDEPLOY_SERVER_PUSH_ONLY", "CERTDEPOLY_PUSH_ONLY", "CERTDEPLOY_PUSH_ONLY")
	o.strict = o.boolean("strict-exit", "end with status 1 when a push or a renewal failed", "CERTDEPLOY_SERVER_STRICT_EXIT")
	o.level = o.options.level("log-level", "DEBUG, INFO, WARNING, ERROR or CRITICAL", "CERTDEPLOY_SERVER_LOG_LEVEL", "CERTDEPLOY_LOG_LEVEL")
	o.file = o.text("log-filename", "FILE", "where to log", "CERTDEPLOY_SERVER_LOG_FILENAME")
	o.sftpLevel = o.options.level("sftp-log-level", "the same for SFTP", "CERTDEPOLY_SFTP_LOG_LEVEL", "CERTDEPLOY_SFTP_LOG_LEVEL", "CERTDEPOLY_SERVER_SFTP_LOG_LEVEL", "CERTDEPLOY_SERVER_SFTP_LOG_LEVEL")
	o.sftpFile = o.text("sftp-log-filename", "FILE", "where to log SFTP", "CERTDEPOLY_SFTP_LOG_FILENAME", "CERTDEPLOY_SFTP_LOG_FILENAME", "CERTDEPOLY_SERVER_SFTP_LOG_FILENAME", "CERTDEPLOY_SERVER_SFTP_LOG_FILENAME")
	return o
}

// modeVariables choose what the program does. A command that the daemon starts
// does not inherit them, or certbot's hook would become a second daemon.
var modeVariables = []string{
	"CERTDEPLOY_SERVER_DAEMON", "CERTDEPLOY_SERVER_RENEW_ONLY", "CERTDEPLOY_RENEW_ONLY",
	"CERTDEPOLY_SERVER_PUSH_ONLY", "CERTDEPLOY_SERVER_PUSH_ONLY", "CERTDEPOLY_PUSH_ONLY", "CERTDEPLOY_PUSH_ONLY",
}

// mode is what one run of the server does.
type mode uint8

const (
	modeQueue     mode = iota // a hook: note what was renewed, and end
	modeQueuePush             // the same, then push
	modePush
	modeDaemon
	modeRenew
	modeNothing // neither lineage nor anything else was given
)

// mode decides. A lineage and its domains without a mode on the command line are
// certbot calling its hook, whatever mode the environment has for the daemon.
func (o *serverOptions) mode() mode {
	lineage := *o.lineage != "" && *o.domains != ""
	asked := o.given["daemon"] && *o.daemon || o.given["renew"] && *o.renew || o.given["push"] && *o.push
	switch {
	case lineage && !asked && *o.push:
		return modeQueuePush
	case lineage && !asked:
		return modeQueue
	case *o.renew:
		return modeRenew
	case *o.daemon && !*o.push:
		return modeDaemon
	case *o.push && lineage:
		return modeQueuePush
	case *o.push:
		return modePush
	}
	return modeNothing
}
