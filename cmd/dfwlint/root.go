package main

import (
	"github.com/spf13/cobra"
)

const longHelp = `dfwlint reads what iptables-save printed on a Docker host, or the rules file that is about to be loaded there,
and says what is wrong with it. It follows packets through the rules: every finding about reachability comes
with a packet that shows it. It changes nothing and never goes online.

Several files in one run are one host where they are of different families or backends (IPv4 beside IPv6,
legacy beside nf_tables). Two files of one kind are two hosts; then an IPv6 dump belongs to the IPv4 dump with
the same name but for "v6": host1.rules and host1.v6.rules. --host says it where names do not. A directory is a host's
dumps and facts (v4.rules, v6.rules, ip-addr.json, docker-inspect.json, …), or several hosts' directories and dumps.

Findings that are known and meant: "# dfwlint:ignore DU005 -- reason" above a rule, "dfwlint:ignore DU005 reason" in its
comment, an entry in .dfwlint.yaml (dfwlint init), or all of today's in a --baseline.

Exit status: 0 nothing at or above --fail-on, 1 findings, 2 wrong usage, 3 input that could not be read or was
only partly understood.`

const examples = `  iptables-save | dfwlint -
  dfwlint rules.v4 rules.v6
  dfwlint --host web1=web1.rules --host web1=six.txt hosts/
  dfwlint --baseline known.json --write-baseline hosts/
  dfwlint --fail-on high --output sarif=dfwlint.sarif hosts/*.rules
  sudo dfwlint --live
  dfwlint explain DU001`

// newRoot builds the command tree: lint at the root, and a command for each file beside this one.
func newRoot(c console) *cobra.Command {
	f := &lintFlags{}
	root := &cobra.Command{
		Use:     "dfwlint [FILE...]",
		Short:   "Find mistakes in the iptables rules of Docker hosts, with proof",
		Long:    longHelp,
		Example: examples,
		Version: toolVersion(),
		// Without this cobra takes a file for an unknown command.
		Args:          cobra.ArbitraryArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			return lint(c, cmd, f, args)
		},
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return flagError(root, cmd, err) })
	root.SetVersionTemplate(versionText())
	f.register(root)
	root.AddCommand(newAssert(c), newDiff(c), newFix(c), newTrace(c), newExposure(c), newFmt(c), newExplain(c), newChecks(c), newCollect(c), newConfig(c), newInit(c), newGrammar(c), newVersion(c), newMan(root))
	return root
}
