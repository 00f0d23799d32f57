// Package exec is the target that hands certificates to an operator's program.
//
// The program gets one JSON object on a line on standard input:
//
//	{"bundles": [{"certificate": "shop", "version": 7, "names": ["shop.example.com"],
//	  "chain_pem": "...", "key_pem": "...", "fingerprint": "...",
//	  "not_after": "2026-11-22T10:00:00Z", "state": "..."}]}
//
// chain_pem is leaf first, key_pem is PKCS #8, fingerprint is the SHA-256 of the
// leaf in lower-case hex, and state is what the program answered last time for
// this certificate. It answers one JSON object a line on standard output for
// each bundle, in any order, and exits with zero:
//
//	{"certificate": "shop", "fingerprint": "...", "applied": true, "error": "", "state": "..."}
//
// applied says that the program is sure that the version is in place now; false
// without an error means that it was handed on. A program is called again with
// what it has had before, and must then say so without doing it again; it must
// leave what is there in place when it cannot put the new pair whole. The key
// comes by standard input alone, never in an argument or the environment.
package exec

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/dial"
	"github.com/certfleet/certfleet/internal/pki"
)

// Config names the program.
type Config struct {
	// Command is the program and its arguments, as a list without a shell.
	Command []string `json:"command" doc:"The program and its arguments, as a list without a shell."`
	// Timeout ends the program and everything it started; zero means 60s.
	Timeout certfleet.Duration `json:"timeout,omitempty" doc:"When the program and everything it started is ended; zero means 60s."`
}

// Target hands bundles to one program.
type Target struct{ program dial.Program }

// New checks the configuration; it starts nothing.
func New(c Config, _ dial.Deps) (*Target, error) {
	if len(c.Command) == 0 || c.Command[0] == "" {
		return nil, &certfleet.Error{Kind: certfleet.Invalid, Msg: "target exec has no command", Advice: `give the program and its arguments as a list, such as ["/usr/local/bin/push-certificate"]`}
	}
	return &Target{dial.Program{Argv: c.Command, Timeout: time.Duration(c.Timeout)}}, nil
}

// question is the line that the program reads.
type question struct {
	Bundles []bundle `json:"bundles"`
}

type bundle struct {
	Certificate string           `json:"certificate"`
	Version     int64            `json:"version"`
	Names       []certfleet.Name `json:"names"`
	ChainPEM    string           `json:"chain_pem"`
	KeyPEM      string           `json:"key_pem"`
	Fingerprint string           `json:"fingerprint"`
	NotAfter    time.Time        `json:"not_after"`
	State       string           `json:"state,omitempty"`
}

// answer is one line that the program writes.
type answer struct {
	Certificate string `json:"certificate"`
	Fingerprint string `json:"fingerprint"`
	Applied     bool   `json:"applied"`
	Error       string `json:"error"`
	State       string `json:"state"`
}

// Deliver hands over what works and is not older than what was handed over
// before; the program answers for each.
func (t *Target) Deliver(ctx context.Context, bundles []certfleet.Bundle, before []certfleet.Receipt) ([]certfleet.Receipt, error) {
	last := map[string]certfleet.Receipt{}
	for _, r := range before {
		last[r.Certificate] = r
	}
	receipts := make([]certfleet.Receipt, len(bundles))
	var q question
	for i, b := range bundles {
		receipts[i] = certfleet.Receipt{Certificate: b.Certificate, Version: b.Version, Fingerprint: b.Fingerprint, State: last[b.Certificate].State}
		if receipts[i].Err = check(b, last[b.Certificate]); receipts[i].Err == nil {
			q.Bundles = append(q.Bundles, wire(b, last[b.Certificate]))
		}
	}
	if len(q.Bundles) == 0 {
		return receipts, nil
	}
	answers, err := t.ask(ctx, q)
	err = redact(err, bundles)
	for i := range receipts {
		if receipts[i].Err == nil {
			read(&receipts[i], answers, err)
			receipts[i].Err = redact(receipts[i].Err, bundles[i:i+1])
		}
	}
	return receipts, nil
}

// check refuses what no program should be handed.
func check(b certfleet.Bundle, last certfleet.Receipt) error {
	if last.Version > b.Version && !b.Rollback {
		return &certfleet.Error{Kind: certfleet.Conflict, Msg: fmt.Sprintf("version %d of %q was handed over, which is newer than %d", last.Version, b.Certificate, b.Version), Advice: "deliver the newer version"}
	}
	_, _, err := pki.ParsePair(b.ChainPEM, b.KeyPEM)
	return err
}

func wire(b certfleet.Bundle, last certfleet.Receipt) bundle {
	return bundle{b.Certificate, b.Version, b.Names, string(b.ChainPEM), string(b.KeyPEM), b.Fingerprint, b.NotAfter.UTC(), string(last.State)}
}

// ask runs the program. What it answered before it failed counts.
func (t *Target) ask(ctx context.Context, q question) (map[string]answer, error) {
	line, err := json.Marshal(q)
	if err != nil {
		return nil, fmt.Errorf("write bundles for program %q: %w", t.program.Argv[0], err)
	}
	p := t.program
	p.Stdin = append(line, '\n')
	defer clear(p.Stdin)
	out, err := p.Run(ctx)
	answers, broken := parse(out)
	if err == nil {
		err = broken
	}
	return answers, err
}

func parse(out []byte) (map[string]answer, error) {
	answers := map[string]answer{}
	lines := json.NewDecoder(bytes.NewReader(out))
	for {
		var a answer
		err := lines.Decode(&a)
		if errors.Is(err, io.EOF) {
			return answers, nil
		}
		if err != nil {
			return answers, &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf("the program's answer %d is not JSON", len(answers)+1), Advice: "write nothing but one JSON object a line to standard output, and everything else to standard error", Err: err}
		}
		answers[a.Certificate] = a
	}
}

// read takes the program's word for one bundle, or says why there is none.
func read(r *certfleet.Receipt, answers map[string]answer, failed error) {
	a, ok := answers[r.Certificate]
	switch {
	case !ok && failed != nil:
		r.Err = failed
	case !ok:
		r.Err = &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf("the program gave no answer for %q", r.Certificate), Advice: "answer one line for each bundle"}
	case a.Error != "":
		r.Err = &certfleet.Error{Kind: certfleet.Internal, Msg: "the program says: " + short(a.Error), Advice: "correct what the program complains of"}
	case a.Fingerprint != r.Fingerprint:
		r.Err = &certfleet.Error{Kind: certfleet.Conflict, Msg: fmt.Sprintf("the program answered for another version of %q", r.Certificate), Advice: "answer with the fingerprint of the bundle"}
	default:
		r.Applied, r.State = a.Applied, []byte(a.State)
	}
}

// short bounds what is shown of a program's own words, in bytes.
func short(s string) string {
	if len(s) > 500 {
		s = s[:500] + "..."
	}
	return strings.ToValidUTF8(s, "?")
}

// redact withholds what a program wrote when it failed, if a piece of a key is
// in it: a shell with tracing on repeats its input, and its end may be all we saw.
func redact(err error, bundles []certfleet.Bundle) error {
	e, ok := errors.AsType[*certfleet.Error](err)
	if !ok || !leaks(e.Msg, bundles) {
		return err
	}
	clean := *e
	clean.Msg = "the program failed and repeated a private key, so its words are withheld"
	clean.Advice = "run the program by hand, and keep it from printing its input"
	return &clean
}

// piece is how much of a key in base64 counts as a leak, in characters.
const piece = 12

func leaks(msg string, bundles []certfleet.Bundle) bool {
	for _, b := range bundles {
		for line := range bytes.Lines(b.KeyPEM) {
			line = bytes.TrimSpace(line)
			for i := 0; i+piece <= len(line) && line[0] != '-'; i++ {
				if strings.Contains(msg, string(line[i:i+piece])) {
					return true
				}
			}
		}
	}
	return false
}
