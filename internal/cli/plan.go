package cli

import (
	"bufio"
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/plan"
	"github.com/certfleet/certfleet/internal/simulate"
)

// newcomers is what plan is asked for.
type newcomers struct {
	file, authority, profile, within string
	most                             int
	exceptions                       []string
}

func (p *program) planCommand() *cobra.Command {
	var m newcomers
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Say how long new names take under a CA's limits, and what to ask the CA for",
		Long: `Say how long it takes to get certificates for many new names under the published
limits of a CA: with one name each, packed by registered domain, and as the file
lists them; which limit binds, and which override to ask the CA for. It counts
with an account that has done nothing lately, and opens no order.

The file has a name a line, or a label and the names that belong together,
separated by commas. Overrides that a manager knows are not used: give them here.`,
		Example: `  certfleet plan --import names.txt
  certfleet plan --import customers.csv --profile tlsserver --within 2d
  certfleet plan --import names.txt --override new-orders=3000/3h --json`,
		Args: none,
		RunE: func(*cobra.Command, []string) error { return p.plan(m) },
	}
	f := cmd.Flags()
	f.StringVar(&m.file, "import", "", "the new names, a `FILE` or - for standard input")
	f.StringVar(&m.authority, "authority", "letsencrypt", "the CA: letsencrypt, letsencrypt-staging, or another with --override")
	f.StringVar(&m.profile, "profile", "classic", "the CA's profile, which says how many names fit: classic, tlsserver or shortlived")
	f.IntVar(&m.most, "max-names", 0, "how many names fit into a certificate (default as the profile says)")
	f.StringVar(&m.within, "within", "1d", "how `LONG` it should take at most, such as 12h or 2d")
	f.StringArrayVar(&m.exceptions, "override", nil, "a limit that the CA granted, `LIMIT=COUNT/PERIOD` such as new-orders=3000/3h; again for more")
	cmd.MarkFlagRequired("import")
	cmd.MarkFlagFilename("import", "txt", "csv")
	return cmd
}

// planned is the answer, in JSON.
type planned struct {
	Authority string       `json:"authority"`
	Names     int          `json:"names"`
	Refused   []string     `json:"refused,omitempty"` // lines that hold no names that can be certified
	MaxNames  int          `json:"max_names"`
	Ways      []plannedWay `json:"ways"`
}

type plannedWay struct {
	Packing      string         `json:"packing"`
	Certificates int            `json:"certificates"`
	Seconds      int64          `json:"seconds"`
	Binds        string         `json:"binds"`
	Bounds       []plannedBound `json:"bounds"`
}

type plannedBound struct {
	Limit   string `json:"limit"`
	Allows  string `json:"allows"`
	Subject string `json:"subject,omitempty"`
	Needs   int    `json:"needs"`
	Seconds int64  `json:"seconds"`
	Others  int    `json:"others,omitempty"`
	Ask     string `json:"ask,omitempty"`
}

func (p *program) plan(m newcomers) error {
	within, err := simulate.ParseSpan(m.within)
	if err != nil || within < 0 {
		return &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf("%q is no length of time", m.within), Advice: "write --within as 12h or 2d"}
	}
	if m.most < 0 {
		return &certfleet.Error{Kind: certfleet.Invalid, Msg: "a certificate cannot have fewer than no names", Advice: "give --max-names above zero"}
	}
	if m.most == 0 {
		known := false
		if m.most, known = plan.MostNames(m.profile); !known {
			return &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf("nobody knows how many names profile %q takes", m.profile), Advice: "say it with --max-names"}
		}
	}
	limits, err := each(m.exceptions, simulate.ParseOverride)
	if err != nil {
		return err
	}
	raw, err := p.input(m.file)
	if err != nil {
		return err
	}
	wishes, refused := readWishes(raw)
	if len(wishes) == 0 {
		return &certfleet.Error{Kind: certfleet.Invalid, Msg: "there are no names in it", Advice: "write a name a line, or a label and its names separated by commas"}
	}
	var overrides []plan.Override
	for _, l := range limits {
		overrides = append(overrides, plan.Override{Limit: l})
	}
	book := plan.NewBook(m.authority, overrides)
	if len(book.Limits()) == 0 {
		return &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf("nobody called %q publishes limits", m.authority), Advice: "use letsencrypt or letsencrypt-staging, or say what the CA allows with --override"}
	}
	ways := plan.Onboard(book, "", wishes, m.most, within)
	got := answerPlan(m, wishes, refused, ways)
	return p.answered(got, func() { p.sayPlan(got, ways) })
}

// readWishes reads a name a line, or a label and names.
func readWishes(raw []byte) (wishes []plan.Wish, refused []string) {
	lines := bufio.NewScanner(bytes.NewReader(raw))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		w := plan.Wish{}
		rest := line
		if label, names, ok := strings.Cut(line, ","); ok {
			w.Label, rest = strings.TrimSpace(label), names
		}
		names, err := certfleet.ParseNames(strings.FieldsFunc(rest, func(r rune) bool { return strings.ContainsRune(", ;\t\"", r) }))
		if err != nil || len(names) == 0 {
			refused = append(refused, cut(line, 100))
			continue
		}
		w.Names = names
		wishes = append(wishes, w)
	}
	if err := lines.Err(); err != nil {
		refused = append(refused, "the rest, after a line that is too long")
	}
	return wishes, refused
}

func answerPlan(m newcomers, wishes []plan.Wish, refused []string, ways []plan.Onboarding) planned {
	got := planned{Authority: m.authority, Refused: refused, MaxNames: m.most}
	for _, o := range ways {
		w := plannedWay{Packing: o.Packing, Certificates: o.Certificates, Seconds: seconds(o.Takes), Binds: string(o.Binds), Bounds: []plannedBound{}}
		if o.Packing == "single" {
			got.Names = o.Certificates
		}
		for _, b := range o.Bounds {
			w.Bounds = append(w.Bounds, plannedBound{Limit: string(b.Limit.Name), Allows: allows(b.Limit), Subject: b.Subject, Needs: b.Needs, Seconds: seconds(b.Takes), Others: b.Others, Ask: ask(b.Ask)})
		}
		got.Ways = append(got.Ways, w)
	}
	return got
}

func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

func allows(l plan.Limit) string { return fmt.Sprintf("%d in %s", l.Count, span(l.Period)) }

// ask is a limit as --override takes it.
func ask(l plan.Limit) string {
	if l.Count == 0 {
		return ""
	}
	return fmt.Sprintf("%s=%d/%s", l.Name, l.Count, inFlag(l.Period))
}

// inFlag is a length of time as flags take it.
func inFlag(d time.Duration) string {
	switch day := 24 * time.Hour; {
	case d%day == 0:
		return fmt.Sprintf("%dd", d/day)
	case d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return d.String()
}

var packings = map[string]string{"listed": "as listed", "single": "one name each", "packed": "packed by registered domain"}

func (p *program) sayPlan(got planned, ways []plan.Onboarding) {
	for _, line := range got.Refused[:min(len(got.Refused), 5)] {
		p.note("not a name that can be certified: %s", line)
	}
	if n := len(got.Refused); n > 5 {
		p.note("and %d more such lines", n-5)
	}
	p.say("%d names at %s, up to %d in a certificate", got.Names, got.Authority, got.MaxNames)
	t := p.table("WAY", "CERTIFICATES", "TAKES", "BOUND BY", "MOST FOR", "ASK THE CA FOR")
	for _, o := range ways {
		if o.Binds == "" {
			t.row(packings[o.Packing], fmt.Sprint(o.Certificates), "no wait", "", "", "")
			continue
		}
		for i, b := range o.Bounds {
			if b.Takes == 0 {
				continue
			}
			way, n := "", ""
			if i == 0 {
				way, n = packings[o.Packing], fmt.Sprint(o.Certificates)
			}
			t.row(way, n, span(b.Takes), fmt.Sprintf("%s (%s)", b.Limit.Name, allows(b.Limit)), mostFor(b), ask(b.Ask))
		}
	}
	t.flush()
}

func mostFor(b plan.Bound) string {
	if b.Subject == "" {
		return "the account"
	}
	if b.Others > 0 {
		return fmt.Sprintf("%s and %d more", cut(b.Subject, 40), b.Others)
	}
	return cut(b.Subject, 40)
}
