package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"reflect"
	"strings"

	"github.com/certfleet/certfleet"
)

// DefaultPath is the file that is read when none is named.
const DefaultPath = "/etc/certfleet/certfleet.yaml"

// EnvPath is the environment variable that names the file.
const EnvPath = "CERTFLEET_CONFIG"

// maxFile in bytes bounds what is read.
const maxFile = 1 << 20

// Load reads the file at path, and the environment over it. An empty path means
// the file that CERTFLEET_CONFIG names, or DefaultPath. When neither is named,
// DefaultPath is missing and the environment holds a setting, the environment
// alone is the configuration. All problems come at once: see Problems.
func Load(path string) (*Config, error) {
	named := path != "" || os.Getenv(EnvPath) != ""
	if path == "" {
		path = os.Getenv(EnvPath)
	}
	if path == "" {
		path = DefaultPath
	}
	text, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) && !named && anySetting(os.Environ()) {
		text, path, err = nil, "", nil
	}
	if err != nil {
		return nil, err
	}
	return read(text, path, os.Environ())
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &certfleet.Error{Kind: certfleet.NotFound, Msg: "there is no configuration at " + path,
			Advice: "run certfleet init to write one, or name yours with --config FILE or " + EnvPath, Err: err}
	}
	if err != nil {
		return nil, &certfleet.Error{Kind: certfleet.Denied, Msg: "the configuration at " + path + " cannot be read",
			Advice: "let the user that certfleet runs as read the file", Err: err}
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	if len(text) > maxFile {
		return nil, invalid("name the configuration file", "%s is larger than %d bytes", path, maxFile)
	}
	return text, nil
}

func anySetting(environ []string) (found bool) {
	settings(reflect.ValueOf(Default()).Elem(), "", func(path string, _ reflect.Value) {
		for _, e := range environ {
			value, ok := strings.CutPrefix(e, EnvName(path)+"=")
			found = found || ok && value != ""
		}
	})
	return found
}

// Parse reads a configuration and nothing else; path is for messages.
func Parse(text []byte, path string) (*Config, error) { return read(text, path, nil) }

// reading is one configuration while it is read.
type reading struct {
	*decoder
	cfg     *Config
	fromEnv map[string]string // the variable that a setting came from, by path
}

func read(text []byte, path string, environ []string) (*Config, error) {
	src, body, err := parse(text, path)
	if err != nil {
		return nil, err
	}
	r := &reading{decoder: newDecoder(src), cfg: Default(), fromEnv: map[string]string{}}
	r.cfg.Path = path
	if body != nil {
		r.value(body, reflect.ValueOf(r.cfg).Elem(), "")
	}
	r.overlay(environ)
	r.check()
	if len(r.problems) > 0 {
		return nil, errors.Join(r.problems...)
	}
	r.cfg.Places = Places{src: r.src, at: r.at, fromEnv: r.fromEnv}
	return r.cfg, nil
}

// problem points at the setting: at its line, or at its environment variable.
func (r *reading) problem(path string, e *certfleet.Error) {
	if name, ok := r.fromEnv[path]; ok {
		e.Msg = "environment variable " + name + ": " + e.Msg
		r.problems = append(r.problems, e)
		return
	}
	if n, ok := r.at[path]; ok {
		r.fail(n, e)
		return
	}
	r.problems = append(r.problems, e)
}
