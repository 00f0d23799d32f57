package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/app"
	"github.com/certfleet/certfleet/internal/config"
)

// setup are the flags of init.
type setup struct {
	app.Setup
	stateDir, database, sealingKey, api, http01, tlsalpn01 string
	eabHMAC                                                string
	given                                                  func(flag string) bool
}

func (p *program) initCommand() *cobra.Command {
	var s setup
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Set up a manager on this host",
		Long: `Set up a manager on this host: a commented configuration, a folder for its state,
the sealing key, a private CA for its own API, the database with the CAs that are
known, a first policy and account, and the first admin token, which is printed
this once.

Nothing is ever overwritten: run it again when it was interrupted. It asks for
what is missing when a person is there; otherwise give --contact and --agree.`,
		Example: `  certfleet init
  certfleet init --contact tls@example.com --agree --authority letsencrypt-staging
  certfleet init --authority office --directory https://ca.office.example/acme/directory --cacert office-ca.pem --agree
  certfleet init --config ./certfleet.yaml --state-dir ./state --http01 :5002 --agree`,
		Args: none,
	}
	f := cmd.Flags()
	f.StringSliceVar(&s.Choices.Contact, "contact", nil, "an email `ADDRESS` that CAs may write to; may be given several times")
	f.BoolVar(&s.Agree, "agree", false, "the terms of the CA are agreed to")
	f.StringVar(&s.Authority, "authority", "", "the `LABEL` of the CA to begin with (default letsencrypt)")
	f.StringVar(&s.Directory, "directory", "", "the `URL` of another CA's ACME directory; --authority names it, --cacert is what to trust there")
	f.StringVar(&s.EABKeyID, "eab-kid", "", "the key `ID` of an external account binding, for CAs that want one")
	f.StringVar(&s.eabHMAC, "eab-hmac", "", "where its HMAC key is, file:PATH or env:NAME")
	f.StringVar(&s.stateDir, "state-dir", "", "the `FOLDER` for everything that is kept here (default /var/lib/certfleet)")
	f.StringVar(&s.database, "database", "", "a SQLite file, postgres://..., or a reference to one (default certfleet.db in the state folder)")
	f.StringVar(&s.sealingKey, "sealing-key", "", "where the sealing key is, file:PATH or env:NAME (default it is made in the state folder)")
	f.StringVar(&s.api, "api", "", "where the API listens, `HOST:PORT` or off (default 127.0.0.1:7443)")
	f.StringVar(&s.http01, "http01", "", "where http-01 challenges are answered, `HOST:PORT` or off (default :80)")
	f.StringVar(&s.tlsalpn01, "tlsalpn01", "", "where tls-alpn-01 challenges are answered, `HOST:PORT` or off (default off)")
	s.given = func(name string) bool { return f.Changed(name) }
	flagWords(cmd, "authority", builtinLabels()...)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return p.setUp(cmd.Context(), s) }
	return cmd
}

func builtinLabels() []string {
	var out []string
	for _, a := range app.Authorities() {
		out = append(out, a.Label)
	}
	return out
}

func (p *program) setUp(ctx context.Context, s setup) error {
	if err := s.complete(p); err != nil {
		return err
	}
	if err := p.agree(ctx, &s); err != nil {
		return err
	}
	token, err := app.Init(ctx, s.Setup, func(m app.Made) { p.made(m) })
	if err != nil {
		return err
	}
	defer token.Wipe()
	return p.sayInitialised(&s, token)
}

// complete turns flags into what Init takes.
func (s *setup) complete(p *program) (err error) {
	if s.Path, err = filepath.Abs(configPath(p.flags.config)); err != nil {
		return err
	}
	if s.stateDir != "" {
		if s.stateDir, err = filepath.Abs(s.stateDir); err != nil {
			return err
		}
	}
	s.Choices.StateDir, s.Choices.Database, s.Choices.SealingKey = s.stateDir, config.Database(s.database), config.Reference(s.sealingKey)
	s.Choices.API, s.Choices.HTTP01, s.Choices.TLSALPN01 = config.Address(s.api), config.Address(s.http01), config.Address(s.tlsalpn01)
	if p.flags.cacert != "" && s.Directory != "" {
		if s.Trust, err = readFile(p.flags.cacert); err != nil {
			return err
		}
	}
	if s.eabHMAC != "" {
		if s.EABHMAC, err = app.OpenReference(s.eabHMAC); err != nil {
			return err
		}
	}
	return s.chooseAuthority()
}

func (s *setup) chooseAuthority() error {
	known := builtinLabels()
	switch {
	case s.Directory != "" && s.Authority == "":
		s.Authority = "private"
	case s.Directory == "" && s.Authority != "" && !slices.Contains(known, s.Authority):
		return invalid("use one of "+strings.Join(known, ", ")+", or give --directory too", "authority %q is not known", s.Authority)
	case s.Directory != "" && slices.Contains(known, s.Authority):
		return invalid("choose another label with --authority", "authority %q is known with another directory", s.Authority)
	}
	return nil
}

func configPath(flag string) string {
	switch {
	case flag != "":
		return flag
	case os.Getenv(config.EnvPath) != "":
		return os.Getenv(config.EnvPath)
	}
	return config.DefaultPath
}

// agree makes sure that somebody agreed to the CA's terms. Where there is an
// account already, nobody is asked again.
func (p *program) agree(ctx context.Context, s *setup) error {
	if !s.given("authority") && !s.given("directory") {
		label, err := p.agreedBefore(ctx, s.Path)
		if err != nil || label != "" {
			s.Authority = label
			return err
		}
	}
	if s.Agree {
		s.Authority = orElse(s.Authority, "letsencrypt")
		return nil
	}
	if !p.asks() {
		return invalid("run it on a terminal, or add --agree and --contact ADDRESS once you have read the terms of your CA",
			"a CA wants its terms agreed to, and nobody is here to be asked")
	}
	return p.interview(ctx, s)
}

// agreedBefore is the authority of the first account that there is, so that init
// can be repeated; what is not there or not whole is Init's to tell.
func (p *program) agreedBefore(ctx context.Context, path string) (string, error) {
	if _, err := os.Stat(path); err != nil {
		return "", nil
	}
	c, err := config.Load(path)
	if err != nil {
		return "", err
	}
	return app.FirstAuthority(ctx, c)
}

// interview asks a person for what the flags did not say.
func (p *program) interview(ctx context.Context, s *setup) (err error) {
	p.note("certfleet keeps names on valid certificates. A few questions first.\n")
	if s.Authority == "" {
		p.note("CAs that are known: %s", strings.Join(builtinLabels(), ", "))
		if s.Authority, err = p.ask(ctx, "Which CA?", "letsencrypt"); err != nil {
			return err
		}
		if err := s.chooseAuthority(); err != nil {
			return err
		}
	}
	if len(s.Choices.Contact) == 0 {
		address, err := p.ask(ctx, "An email address for the CA (empty for none)?", "")
		if err != nil {
			return err
		}
		if address != "" {
			s.Choices.Contact = []string{address}
		}
	}
	return p.askTerms(ctx, s)
}

func (p *program) askTerms(ctx context.Context, s *setup) error {
	directory := s.Directory
	for _, a := range app.Authorities() {
		if a.Label == s.Authority {
			directory = a.DirectoryURL
		}
	}
	terms, err := app.Terms(ctx, directory, string(s.Trust))
	switch {
	case err != nil:
		p.note("The CA could not be asked for its terms (%s); find them on its website.", cut(err.Error(), 100))
	case terms == "":
		p.note("The CA states no terms.")
	default:
		p.note("The CA's terms: %s", terms)
	}
	answer, err := p.ask(ctx, "Do you agree to them? (yes/no)", "no")
	if err != nil {
		return err
	}
	if answer != "yes" && answer != "y" {
		return errors.New("nothing was set up, because the terms were not agreed to")
	}
	s.Agree = true
	return nil
}

func (p *program) made(m app.Made) {
	if p.flags.json {
		p.json(m) // a pipe that is closed is found by the end
		return
	}
	sign := p.paint(green, "+")
	if m.Kept {
		sign = "="
	}
	fmt.Fprintf(p.Out, "%s %-13s %s\n", sign, m.What, m.Where)
}

// sayInitialised prints the token, and what to do next.
func (p *program) sayInitialised(s *setup, token certfleet.Secret) error {
	if p.flags.json {
		return p.json(map[string]string{"config": s.Path, "token": string(token)})
	}
	where := ""
	if s.Path != config.DefaultPath {
		where = " --config " + s.Path
	}
	if len(token) > 0 {
		p.say("\nThe first admin token; it is shown this once:\n\n  export %s=%s", tokenEnv, string(token))
	}
	p.say("\nWhat next:\n  certfleet check%[1]s\n  certfleet serve%[1]s\n  certfleet add NAME... --wait%[1]s", where)
	return nil
}
