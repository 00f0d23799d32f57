package dial

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/certfleet/certfleet"
)

// maxReference bounds a file that a reference names, in bytes.
const maxReference = 1 << 20

// Reference opens a secret that the configuration refers to: "file:/path" (one
// trailing newline is taken off) or "env:NAME". A bare value is refused, and
// never repeated in the error.
func Reference(ref string) (certfleet.Secret, error) {
	kind, rest, _ := strings.Cut(ref, ":")
	switch {
	case kind == "file" && rest != "":
		return fromFile(rest)
	case kind == "env" && rest != "":
		return fromEnv(rest)
	}
	return nil, &certfleet.Error{Kind: certfleet.Invalid, Msg: "this is not a reference to a secret", Advice: "write file:/path/to/secret or env:NAME; a secret itself never stands in the configuration"}
}

func fromFile(path string) (certfleet.Secret, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fileProblem(path, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxReference+1))
	if err != nil {
		return nil, fileProblem(path, err)
	}
	b = bytes.TrimSuffix(bytes.TrimSuffix(b, []byte("\n")), []byte("\r"))
	switch {
	case len(b) == 0:
		return nil, &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf("secret file %q is empty", path), Advice: "write the secret into the file"}
	case len(b) > maxReference:
		return nil, &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf("secret file %q is larger than %d bytes", path, maxReference), Advice: "name the file that holds the secret alone"}
	}
	return b, nil
}

func fileProblem(path string, err error) error {
	e := &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf("secret file %q cannot be read", path), Advice: "name a readable regular file", Err: err}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.Kind, e.Advice = certfleet.NotFound, "create the file with mode 0600, or correct the path"
	case errors.Is(err, fs.ErrPermission):
		e.Kind, e.Advice = certfleet.Denied, "let the user that certfleet runs as read the file"
	}
	return e
}

func fromEnv(name string) (certfleet.Secret, error) {
	v := os.Getenv(name)
	if v == "" {
		return nil, &certfleet.Error{Kind: certfleet.NotFound, Msg: fmt.Sprintf("environment variable %q is not set", name), Advice: "set it in the environment of the service, or refer to a file with file:/path"}
	}
	return certfleet.Secret(v), nil
}
