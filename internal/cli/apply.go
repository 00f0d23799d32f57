package cli

import (
	"context"
	"io"
	"reflect"
	"strings"

	"github.com/spf13/cobra"

	"github.com/certfleet/certfleet/client"
	"github.com/certfleet/certfleet/internal/config"
)

func (p *program) applyCommand() *cobra.Command {
	var file string
	var dry bool
	cmd := &cobra.Command{
		Use:   "apply",
		Short: "Make the fleet as a file declares it",
		Long: `Make authorities, accounts, limit overrides, policies and their defaults, targets,
factories, the blocklist and certificates as a YAML or JSON file declares them, all
of it or nothing. What the file does not name stays as it is, and so does a field
that is left out; one that is given empty is cleared. A certificate goes only when
its state is given as removed. limit_overrides and blocklist are sets: where the
file has one, entries that it does not name go, all of them if it is empty. Applying
the same again changes nothing.

  policies:
    - label: default
      authorities: [letsencrypt]
  targets:
    - label: edge1
      type: files
      spec: {dir: /etc/tls, layout: certbot}
      probe: ["192.0.2.7:443"]
  certificates:
    - names: [shop.example, www.shop.example]
      targets: [edge1]`,
		Example: "  certfleet apply -f fleet.yaml --dry-run\n  certfleet apply -f fleet.yaml\n  generate-fleet | certfleet apply -f -",
		Args:    none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" {
				return &usageError{invalid("write -f and a file, or -f - for the standard input", "it is not said what to apply")}
			}
			return p.apply(cmd.Context(), file, dry)
		},
	}
	cmd.Flags().StringVarP(&file, "file", "f", "", "the `FILE`, - for the standard input")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only say what would change")
	cmd.MarkFlagFilename("file", "yaml", "yml", "json")
	return cmd
}

func (p *program) apply(ctx context.Context, file string, dry bool) error {
	text, err := p.input(file)
	if err != nil {
		return err
	}
	var f client.Fleet
	section, err := config.NewSection(file, "", text)
	if err != nil {
		return err
	}
	if err := section.Decode(&f); err != nil {
		return err
	}
	raw, err := asGiven(section)
	if err != nil {
		return err
	}
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	b := p.busy("applying %s", file)
	got, err := c.ApplyDeclared(ctx, raw, dry)
	b.end()
	if err != nil {
		return err
	}
	return p.answered(got, func() { p.sayApplied(got) })
}

// asGiven is a declaration with those fields that are written in it, and no
// others: what is left out stays as it is, what is empty is cleared.
func asGiven(section config.Section) (map[string]any, error) {
	var in struct {
		Authorities    []map[string]any `json:"authorities"`
		Accounts       []map[string]any `json:"accounts"`
		LimitOverrides []map[string]any `json:"limit_overrides"`
		Policies       []map[string]any `json:"policies"`
		Defaults       []map[string]any `json:"defaults"`
		Targets        []map[string]any `json:"targets"`
		Factories      []map[string]any `json:"factories"`
		Blocklist      []map[string]any `json:"blocklist"`
		Certificates   []map[string]any `json:"certificates"`
	}
	if err := section.Decode(&in); err != nil {
		return nil, err
	}
	out := map[string]any{}
	for _, l := range []struct {
		name string
		list []map[string]any
		of   reflect.Type
	}{
		{"authorities", in.Authorities, reflect.TypeFor[client.Authority]()}, {"accounts", in.Accounts, reflect.TypeFor[client.FleetAccount]()},
		{"policies", in.Policies, reflect.TypeFor[client.Policy]()}, {"targets", in.Targets, reflect.TypeFor[client.Target]()},
		{"limit_overrides", in.LimitOverrides, reflect.TypeFor[client.LimitOverride]()}, {"defaults", in.Defaults, reflect.TypeFor[client.DefaultPolicy]()},
		{"factories", in.Factories, reflect.TypeFor[client.Factory]()}, {"blocklist", in.Blocklist, reflect.TypeFor[client.Blocked]()},
		{"certificates", in.Certificates, reflect.TypeFor[client.FleetCertificate]()},
	} {
		for _, object := range l.list {
			emptied(object, l.of)
		}
		if len(l.list) > 0 {
			out[l.name] = l.list
		}
	}
	for _, set := range []string{"limit_overrides", "blocklist"} {
		if out[set] == nil && section.Gives(set) {
			out[set] = []any{}
		}
	}
	return out, nil
}

// emptied puts the empty value of its type in the place of each null, so that it
// clears the field.
func emptied(object map[string]any, t reflect.Type) {
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			emptied(object, f.Type)
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if v, given := object[name]; given && v == nil {
			object[name] = emptyOf(f.Type)
		}
	}
}

func emptyOf(t reflect.Type) any {
	switch t.Kind() {
	case reflect.Slice:
		return []any{}
	case reflect.Map:
		return map[string]any{}
	}
	return reflect.Zero(t).Interface()
}

// input reads a file, or the standard input when its name is -.
func (p *program) input(file string) ([]byte, error) {
	if file != "-" {
		return readFile(file)
	}
	b, err := io.ReadAll(io.LimitReader(p.In, maxInput+1))
	if err == nil && len(b) > maxInput {
		err = invalid("send less", "the standard input is larger than %d bytes", maxInput)
	}
	return b, err
}

var signs = map[string]struct{ sign, color string }{"create": {"+", green}, "update": {"~", yellow}, "remove": {"-", red}}

func (p *program) sayApplied(a *client.Applied) {
	for _, ch := range a.Changes {
		s := signs[ch.Action]
		p.say("%s %s %s", p.paint(s.color, s.sign), ch.Kind, ch.Label)
		for _, f := range ch.Fields {
			switch {
			case f.From == "":
				p.say("    %s: %s", f.Field, f.To)
			default:
				p.say("    %s: %s -> %s", f.Field, f.From, dash(f.To))
			}
		}
	}
	if a.DryRun {
		p.say("%d would change, %d are as declared", len(a.Changes), a.Same)
		return
	}
	p.say("%d changed, %d were as declared", len(a.Changes), a.Same)
}
