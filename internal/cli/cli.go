// Package cli is the command line of certfleet: one file a command, and every
// command speaks with the manager through the same client.
package cli

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/certfleet/certfleet/internal/app"
)

// Streams are where a command reads and writes.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// program is one run of the command line.
type program struct {
	Streams
	flags globals
	color bool // Out is a terminal that may show colours
	live  bool // Err is a terminal, so that a line may be written over
	began bool // a command runs; until then every error is about how it was called
	bare  bool // a manager is spoken with, and no token was given
	local *app.App
	now   func() time.Time
}

// globals are the flags that every command takes.
type globals struct {
	config, url, token, cacert string
	json, offline              bool
}

// Main runs one command line and answers its exit code. An interrupt ends the
// command in good order; a second one ends it at once.
func Main(args []string, s Streams) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	p := &program{Streams: s, color: colored(s.Out), live: isTerminal(s.Err), now: time.Now}
	err := p.execute(ctx, args)
	return p.report(err)
}

func (p *program) execute(ctx context.Context, args []string) error {
	root := p.root()
	root.SetArgs(args)
	root.SetIn(p.In)
	root.SetOut(p.Out)
	root.SetErr(p.Err)
	err := root.ExecuteContext(ctx)
	if err != nil && !p.began {
		err = &usageError{err}
	}
	if p.local != nil {
		p.local.Close() // what was asked for is done or reported already
	}
	return err
}

// The groups in which help lists the commands.
const (
	groupStart = "start"
	groupCerts = "certs"
	groupLook  = "look"
	groupFleet = "fleet"
	groupCare  = "care"
)

var groups = []*cobra.Group{
	{ID: groupStart, Title: "Getting going"},
	{ID: groupCerts, Title: "Certificates"},
	{ID: groupLook, Title: "What is going on"},
	{ID: groupFleet, Title: "What the fleet consists of"},
	{ID: groupCare, Title: "Looking after it"},
}

// root makes the whole tree of commands.
func (p *program) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "certfleet",
		Short: "Keep every host name of a fleet on a valid certificate",
		Long:  rootLong,
		Example: `  certfleet demo                              watch it work, on this machine alone
  certfleet init                              set up a manager
  certfleet add shop.example www.shop.example ask for a certificate
  certfleet why shop.example                  what holds, why, and what comes next`,
		SilenceErrors: true, SilenceUsage: true, Args: p.noSuch,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	p.globalFlags(root)
	cobra.EnableCommandSorting = false // help lists them as one meets them
	root.AddGroup(groups...)
	root.AddCommand(p.starting()...)
	root.AddCommand(p.certificates()...)
	root.AddCommand(p.looking()...)
	root.AddCommand(p.fleet()...)
	root.AddCommand(p.care()...)
	root.AddCommand(in(groupCare, p.certdeployServerCommand(), p.certdeployClientCommand())...)
	root.AddCommand(p.versionCommand(), p.completionCommand(root), p.manCommand(root))
	root.SetHelpFunc(p.help)
	root.SetUsageFunc(p.usage)
	root.SetFlagErrorFunc(flagProblem)
	root.CompletionOptions.DisableDefaultCmd = true
	p.prepare(root)
	return root
}

const rootLong = `certfleet finds the names, gets the certificates from any ACME CA, keeps them
fresh, brings them to every edge, and proves in a handshake that the edge
serves them.

Commands speak with the manager that runs on this host, or with the one that
--url names. With --offline they open the database themselves, so no manager
has to run.

Exit codes: 0 all went well; 1 something failed; 2 the command or its input
cannot be used as it is; 3 the manager or a CA could not be reached, did not
allow it, or says later.`

func (p *program) globalFlags(root *cobra.Command) {
	f := root.PersistentFlags()
	f.StringVar(&p.flags.config, "config", "", "configuration `FILE` (default $CERTFLEET_CONFIG, or /etc/certfleet/certfleet.yaml)")
	f.StringVar(&p.flags.url, "url", os.Getenv("CERTFLEET_URL"), "manager to speak with, as https://`HOST:PORT` (default $CERTFLEET_URL, or as configured)")
	f.StringVar(&p.flags.token, "token", "", "where the token is, file:PATH or env:NAME (default $CERTFLEET_TOKEN)")
	f.StringVar(&p.flags.cacert, "cacert", os.Getenv("CERTFLEET_CACERT"), "trust the CAs in this PEM `FILE` (default $CERTFLEET_CACERT, or the private CA)")
	f.BoolVar(&p.flags.json, "json", false, "answer in JSON, one object a line")
	f.BoolVar(&p.flags.offline, "offline", false, "open the database in this process instead of asking a manager")
	root.MarkPersistentFlagFilename("config", "yaml", "yml")
	root.MarkPersistentFlagFilename("cacert", "pem", "crt")
	f.Lookup("url").DefValue, f.Lookup("cacert").DefValue = "", "" // help must not depend on the environment
}

// prepare gives every command below what all of them share.
func (p *program) prepare(cmd *cobra.Command) {
	cmd.DisableFlagsInUseLine = true
	cmd.Flags().SortFlags = false
	if run := cmd.RunE; run != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			p.began = true
			return run(cmd, args)
		}
	}
	for _, sub := range cmd.Commands() {
		p.prepare(sub)
	}
}

func in(group string, list ...*cobra.Command) []*cobra.Command {
	for _, c := range list {
		c.GroupID = group
	}
	return list
}

func (p *program) starting() []*cobra.Command {
	return in(groupStart, p.demoCommand(), p.initCommand(), p.checkCommand(), p.serveCommand(), p.runCommand(), p.agentCommand())
}

func (p *program) certificates() []*cobra.Command {
	return in(groupCerts, p.addCommand(), p.onboardCommand(), p.listCommand(), p.showCommand(), p.whyCommand(), p.searchCommand(), p.renewCommand(), p.deliverCommand(), p.revokeCommand(), p.flipCommand(), p.replaceCommand(),
		p.pauseCommand(), p.resumeCommand(), p.removeCommand(), p.importCommand(), p.hookCommand(), p.exportCommand())
}

func (p *program) looking() []*cobra.Command {
	return in(groupLook, p.ordersCommand(), p.authorizationsCommand(), p.challengesCommand(), p.syncCommand(), p.deactivateCommand(), p.versionsCommand(), p.keysCommand(),
		p.deliveriesCommand(), p.probeCommand(), p.eventsCommand(), p.jobsCommand(), p.limitsCommand())
}

func (p *program) fleet() []*cobra.Command {
	return in(groupFleet, p.applyCommand(), p.authoritiesCommand(), p.accountsCommand(), p.policiesCommand(), p.factoriesCommand(), p.blocklistCommand(), p.targetsCommand(), p.agentsCommand(), p.domainsCommand(), p.tokensCommand())
}

func (p *program) care() []*cobra.Command {
	return in(groupCare, p.backupCommand(), p.restoreCommand(), p.rekeyCommand(), p.sweepCommand(), p.planCommand(), p.simulateCommand(), p.cronCommand(), p.acmednsCommand())
}
