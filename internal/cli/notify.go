package cli

import (
	"net"
	"os"
	"strings"
	"time"
)

// notify tells systemd how the service stands, such as READY=1, where systemd
// asked for it (sd_notify(3)). It is a courtesy: nothing depends on it.
func notify(state string) {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return
	}
	if strings.HasPrefix(path, "@") {
		path = "\x00" + path[1:] // the abstract namespace of unix(7)
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return
	}
	defer conn.Close()
	conn.SetWriteDeadline(time.Now().Add(time.Second))
	conn.Write([]byte(state))
}
