package demo

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// screen writes lines, and on a terminal keeps a block of them up to date in
// place. It is used by one goroutine.
type screen struct {
	out             io.Writer
	terminal, color bool
	quiet           bool // only what must be said
	width           int
	drawn           int // lines of the block that are on the screen now
}

// The colours, as SGR parameters.
const (
	faint  = "2"
	bold   = "1"
	red    = "31"
	green  = "32"
	yellow = "33"
)

// part is a piece of a line, in one colour.
type part struct{ text, color string }

// say writes a line for good; the block comes below it with the next draw.
func (s *screen) say(line string) {
	if s.quiet {
		return
	}
	s.wipe()
	fmt.Fprintln(s.out, line)
}

// write writes a line of parts for good, however long it is.
func (s *screen) write(line ...part) { s.say(s.paint(line, 0)) }

// draw puts the block on the screen in place of the one before; without a
// terminal there is none.
func (s *screen) draw(block [][]part) {
	if !s.terminal || s.quiet {
		return
	}
	var b strings.Builder
	b.WriteString(s.up())
	for _, line := range block {
		b.WriteString(s.paint(line, s.width-1) + "\n")
	}
	s.drawn = len(block)
	io.WriteString(s.out, b.String())
}

// release leaves the block where it is, as lines like any other.
func (s *screen) release() { s.drawn = 0 }

// wipe takes the block away.
func (s *screen) wipe() {
	if s.drawn > 0 {
		io.WriteString(s.out, s.up())
		s.drawn = 0
	}
}

// up goes to the start of the block and clears all below.
func (s *screen) up() string {
	if s.drawn == 0 {
		return ""
	}
	return fmt.Sprintf("\x1b[%dA\r\x1b[J", s.drawn)
}

// paint joins the parts, cut to width columns unless that is zero.
func (s *screen) paint(line []part, width int) string {
	var b strings.Builder
	left := width
	for _, p := range line {
		text := p.text
		if width > 0 {
			text = cut(text, left)
			left -= utf8.RuneCountInString(text)
		}
		if s.color && p.color != "" && text != "" {
			text = "\x1b[" + p.color + "m" + text + "\x1b[0m"
		}
		b.WriteString(text)
	}
	return b.String()
}

// cut shortens s to n columns; control characters, which a stranger may have
// put there, become spaces.
func cut(s string, n int) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
	if n <= 0 {
		return ""
	}
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

func pad(s string, n int) string {
	if short := n - utf8.RuneCountInString(s); short > 0 {
		return s + strings.Repeat(" ", short)
	}
	return s
}
