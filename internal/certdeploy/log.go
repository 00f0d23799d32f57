package certdeploy

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
)

// levels are the names that certdeploy has for them. CRITICAL is above all.
var levels = map[string]slog.Level{"DEBUG": slog.LevelDebug, "INFO": slog.LevelInfo, "WARNING": slog.LevelWarn, "ERROR": slog.LevelError, "CRITICAL": slog.LevelError + 4}

func parseLevel(word string) (slog.Level, error) {
	l, ok := levels[strings.ToUpper(word)]
	if !ok {
		return 0, invalid("use one of DEBUG, INFO, WARNING, ERROR, CRITICAL", "Invalid log level: %.50s", word)
	}
	return l, nil
}

func levelName(l slog.Level) string {
	switch {
	case l >= levels["CRITICAL"]:
		return "CRITICAL"
	case l >= slog.LevelError:
		return "ERROR"
	case l >= slog.LevelWarn:
		return "WARNING"
	case l >= slog.LevelInfo:
		return "INFO"
	}
	return "DEBUG"
}

// lines writes LEVEL:logger: message, one line a record, as certdeploy's logs are.
type lines struct {
	mu    *sync.Mutex // guards out
	out   io.Writer
	level slog.Level
	name  string
	attrs []slog.Attr
	// as puts other words in the place of a message; empty hides the record.
	as func(slog.Record) (before []string, message string)
}

func newLines(out io.Writer, level slog.Level, name string) *lines {
	return &lines{mu: &sync.Mutex{}, out: out, level: level, name: name}
}

// Enabled compares the level alone.
func (l *lines) Enabled(_ context.Context, level slog.Level) bool { return level >= l.level }

// WithAttrs keeps the attributes for every record.
func (l *lines) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *l
	c.attrs = append(c.attrs[:len(c.attrs):len(c.attrs)], attrs...)
	return &c
}

// WithGroup changes nothing: there is no room for groups in a line.
func (l *lines) WithGroup(string) slog.Handler { return l }

// Handle writes one record.
func (l *lines) Handle(_ context.Context, r slog.Record) error {
	var before []string
	msg := r.Message
	if l.as != nil {
		before, msg = l.as(r)
	}
	var b bytes.Buffer
	for _, words := range before {
		fmt.Fprintf(&b, "%s:%s: %s\n", levelName(r.Level), l.name, oneLine(words))
	}
	if msg != "" {
		fmt.Fprintf(&b, "%s:%s: %s", levelName(r.Level), l.name, oneLine(msg))
		for _, a := range l.attrs {
			writeAttr(&b, a)
		}
		r.Attrs(func(a slog.Attr) bool { writeAttr(&b, a); return true })
		b.WriteByte('\n')
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := l.out.Write(b.Bytes())
	return err
}

func writeAttr(b *bytes.Buffer, a slog.Attr) {
	v := a.Value.Resolve().String()
	if v == "" || v == "<nil>" {
		return
	}
	if strings.ContainsAny(v, " \"=") {
		v = fmt.Sprintf("%q", v)
	}
	fmt.Fprintf(b, " %s=%s", a.Key, oneLine(v))
}

func oneLine(s string) string {
	return strings.NewReplacer("\r", `\r`, "\n", `\n`).Replace(s)
}

// logging is where a program logs.
type logging struct {
	level, file         string
	sftpLevel, sftpFile string
}

func (l *logging) check() error {
	for _, word := range []*string{&l.level, &l.sftpLevel} {
		if *word == "" {
			*word = "ERROR"
		}
		if _, err := parseLevel(*word); err != nil {
			return err
		}
	}
	return nil
}

// open makes both loggers; closing ends what was opened.
func (l logging) open(name string, out, complaints io.Writer) (log, sftp *lines, closing func(), err error) {
	main, closeMain, err := sink(l.file, out, complaints)
	if err != nil {
		return nil, nil, nil, err
	}
	transport, closeSFTP, err := sink(l.sftpFile, out, complaints)
	if err != nil {
		closeMain()
		return nil, nil, nil, err
	}
	level, _ := parseLevel(l.level)
	sftpLevel, _ := parseLevel(l.sftpLevel)
	// The name of the SFTP log is the one that its readers know.
	return newLines(main, level, name), newLines(transport, sftpLevel, "paramiko.transport"), func() { closeMain(); closeSFTP() }, nil
}

// sink opens a log file; nothing means standard output.
func sink(file string, out, complaints io.Writer) (io.Writer, func(), error) {
	nothing := func() {}
	switch file {
	case "", "stdout", "/dev/stdout":
		return out, nothing, nil
	case "stderr", "/dev/stderr":
		return complaints, nothing, nil
	case "/dev/null":
		return io.Discard, nothing, nil
	}
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
	if err != nil {
		return nil, nil, invalid("create the folder of the log file, or let this user write there", "open log file %q: %v", file, err)
	}
	return f, func() { f.Close() }, nil
}
