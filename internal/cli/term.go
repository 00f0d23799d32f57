package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/certfleet/certfleet"
)

// isTerminal reports whether a person looks at v.
func isTerminal(v any) bool {
	f, ok := v.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// colored reports whether colours may be used: on a terminal, unless NO_COLOR
// says otherwise (https://no-color.org).
func colored(w io.Writer) bool {
	return isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// drawable reports whether lines of w may be drawn over.
func drawable(w io.Writer) bool { return isTerminal(w) && os.Getenv("TERM") != "dumb" }

// The colours, as SGR parameters.
const (
	bold   = "1"
	faint  = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
)

func (p *program) paint(color, s string) string {
	if !p.color || color == "" || s == "" {
		return s
	}
	return "\x1b[" + color + "m" + s + "\x1b[0m"
}

// tone is the colour of a word that says how something stands.
func tone(word string) string {
	switch word {
	case "served", "valid", "issued", "ok", "yes", "applied":
		return green
	case "failing", "failed", "expired", "fail", "invalid", "revoked", "unknown", "compromised", "error":
		return red
	case "paused", "parked", "warn", "due", "waiting", "unproven", "pending", "wanted", "open", "sent":
		return yellow
	case "removed", "deactivated", "superseded":
		return faint
	}
	return ""
}

// asks reports whether a person is there to be asked.
func (p *program) asks() bool { return isTerminal(p.In) && p.live }

// ask puts a question; an empty answer means otherwise.
func (p *program) ask(ctx context.Context, question, otherwise string) (string, error) {
	if otherwise != "" {
		question += " [" + otherwise + "]"
	}
	fmt.Fprint(p.Err, question+" ")
	line, err := p.line(ctx)
	if err != nil {
		return "", err
	}
	if line = strings.TrimSpace(line); line == "" {
		line = otherwise
	}
	return line, nil
}

// line reads one line, or ends with ctx.
func (p *program) line(ctx context.Context) (string, error) {
	type read struct {
		line string
		err  error
	}
	c := make(chan read, 1)
	go func() { // it ends with the process, which ends when nobody answers
		line, err := bufio.NewReader(p.In).ReadString('\n')
		c <- read{line, err}
	}()
	select {
	case r := <-c:
		if errors.Is(r.err, io.EOF) && r.line == "" {
			return "", invalid("answer, or give the flags that make the question needless", "there was no answer")
		}
		return strings.TrimRight(r.line, "\r\n"), nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// confirm asks whether to go on; without anybody to ask, it wants --yes.
func (p *program) confirm(ctx context.Context, yes bool, what string) error {
	if yes {
		return nil
	}
	if !p.asks() {
		return invalid("add --yes if you are sure", "%s, and nobody is here to be asked", what)
	}
	answer, err := p.ask(ctx, what+". Go on? (yes/no)", "no")
	if err != nil {
		return err
	}
	if answer != "yes" && answer != "y" {
		return errors.New("nothing was done")
	}
	return nil
}

// hidden asks for a secret without showing it.
func (p *program) hidden(ctx context.Context, question string) (certfleet.Secret, error) {
	f, ok := p.In.(*os.File)
	if !ok || !p.asks() {
		return nil, invalid("give it as file:PATH or env:NAME", "a password is needed, and nobody is here to be asked")
	}
	fd := int(f.Fd())
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, err
	}
	quiet := *before
	quiet.Lflag &^= unix.ECHO
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &quiet); err != nil {
		return nil, err
	}
	defer unix.IoctlSetTermios(fd, unix.TCSETS, before)
	fmt.Fprint(p.Err, question+" ")
	line, err := p.line(ctx)
	fmt.Fprintln(p.Err)
	return certfleet.Secret(line), err
}
