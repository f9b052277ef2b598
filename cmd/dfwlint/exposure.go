package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dfwlint/dfwlint/exposure"
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/report"
	"github.com/spf13/cobra"
)

const exposureHelp = `Say what of a host and its containers can be reached from outside: which ports, from which sources and interfaces,
through which rules, over IPv4 and IPv6. Ports of containers that can be reached without being published are marked.

"from" tells who may open a connection; "by" how it gets there: by a DNAT rule, through docker-proxy, directly routed to
the container's own address, or to the host. The rules are told by their lines.

The dumps alone are enough; what is then assumed is listed. A --context with facts of the host names containers and
networks, and tells which programs listen on the host (ss.txt).

Exit status: 0 the table was made, 2 wrong usage, 3 input that could not be read or was only partly understood.`

func newExposure(c console) *cobra.Command {
	var f machineFlags
	var format, color string
	var width int
	var open bool
	cmd := &cobra.Command{
		Use:     "exposure FILE...",
		Short:   "List what can be reached from outside, from where and through which rules",
		Long:    exposureHelp,
		Example: "  dfwlint exposure host.rules host.v6.rules\n  dfwlint exposure --context facts/ --format markdown",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains(report.ExposureFormats(), format) {
				return fmt.Errorf("--format %q: use %s", format, strings.Join(report.ExposureFormats(), ", "))
			}
			o := report.ExposureOptions{Version: toolVersion(), Open: open}
			var err error
			if o.Color, err = c.color(color); err != nil {
				return err
			}
			if o.Width, err = c.lineWidth(width); err != nil {
				return err
			}
			m, err := f.load(c, cmd, args)
			if err != nil {
				return err
			}
			o.Name = m.shortName
			if format == "json" {
				o.Name = m.fileName
			}
			if err := report.Exposure(c.out, format, m.exposure(), o); err != nil {
				return fmt.Errorf("cannot write: %w", err)
			}
			return m.status()
		},
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().BoolVar(&open, "open", false, "leave out published ports that nothing outside reaches")
	f.register(cmd)
	cmd.Flags().StringVarP(&format, "format", "f", "text", "`FORMAT` is text, json or markdown")
	registerStyle(cmd, &color, &width)
	fixed(cmd, "format", report.ExposureFormats()...)
	return cmd
}

// exposure makes the table of the families of which there is a dump.
func (m *machine) exposure() *exposure.Table {
	var nets []*netfilter.Net
	var missing []string
	for _, v6 := range []bool{false, true} {
		n, assumption := m.net(v6)
		if assumption != "" {
			missing = append(missing, fmt.Sprintf("%s is not told: no dump of it was given", family(v6)))
			continue
		}
		nets = append(nets, n)
	}
	t := exposure.Build(nets...)
	t.Notes = append(missing, t.Notes...)
	return t
}
