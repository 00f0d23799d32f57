package cli

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/certfleet/certfleet"
)

func (p *program) manCommand(root *cobra.Command) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:     "man",
		Short:   "Write the manual pages",
		Long:    "Write one manual page a command into a folder, for man(1).",
		Example: "  certfleet man --dir /usr/local/share/man/man1",
		Args:    none,
		RunE: func(*cobra.Command, []string) error {
			if dir == "" {
				return &usageError{invalid("write --dir and a folder", "certfleet man needs --dir")}
			}
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return invalid("name a folder that this user may write", "make the folder of the manual: %s", err)
			}
			root.DisableAutoGenTag = true // the same input makes the same pages
			header := &doc.GenManHeader{Title: "CERTFLEET", Section: "1", Source: "certfleet " + certfleet.Release, Manual: "certfleet"}
			if err := doc.GenManTree(root, header, dir); err != nil {
				return fmt.Errorf("write the manual into %s: %w", dir, err)
			}
			p.say("the manual is in %s", dir)
			return nil
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "the `FOLDER` to write to")
	cmd.MarkFlagDirname("dir")
	return cmd
}
