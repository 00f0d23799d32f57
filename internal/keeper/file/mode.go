package file

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"syscall"

	"github.com/certfleet/certfleet"
)

// checkMode looks at the opened file, not at the path, so that nobody can swap
// it in between.
func checkMode(f *os.File, path string) error {
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("look at the sealing key: %w", err)
	}
	if !info.Mode().IsRegular() {
		return &certfleet.Error{Kind: certfleet.Invalid, Msg: path + " is not a regular file",
			Advice: "name the file that holds the sealing key"}
	}
	if credential(path) {
		return nil
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return &certfleet.Error{Kind: certfleet.Denied, Msg: fmt.Sprintf("the sealing key at %s is open to others (mode %04o)", path, mode),
			Advice: "run chmod 600 " + path + ", and make a new key with certfleet rekey if somebody may have read it"}
	}
	return checkOwner(info, path)
}

// checkOwner refuses a key that somebody else could replace or open up.
func checkOwner(info os.FileInfo, path string) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || stat.Uid == 0 || int(stat.Uid) == os.Geteuid() {
		return nil
	}
	return &certfleet.Error{Kind: certfleet.Denied, Msg: fmt.Sprintf("the sealing key at %s belongs to user id %d", path, stat.Uid),
		Advice: ownerAdvice(os.Geteuid(), stat.Uid, path)}
}

// ownerAdvice sends root to the owner's name: giving root the file would take it
// from the service that runs under it.
func ownerAdvice(me int, owner uint32, path string) string {
	if me != 0 {
		return fmt.Sprintf("run chown %d %s", me, path)
	}
	u, err := user.LookupId(fmt.Sprint(owner))
	if err != nil { // runuser takes names alone
		return fmt.Sprintf("run certfleet as user id %d, such as with setpriv --reuid %d --clear-groups -- certfleet ...", owner, owner)
	}
	return fmt.Sprintf("run it as the file's owner: runuser -u %s -- certfleet ...", u.Username)
}

// credential reports whether systemd handed the file over (LoadCredential=):
// it guards that folder itself, and shows an access list as group bits.
func credential(path string) bool {
	folder := os.Getenv("CREDENTIALS_DIRECTORY")
	return folder != "" && filepath.Dir(filepath.Clean(path)) == filepath.Clean(folder)
}
