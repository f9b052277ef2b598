package ruleset

import (
	"fmt"
	"strings"

	"github.com/dfwlint/dfwlint/parser"
)

// A piece says that a table's text need not hold all of its chains.
type piece uint8

const (
	// wholeTable is what iptables-save prints, and what iptables-restore loads without --noflush.
	wholeTable piece = iota
	// addedTable declares no built-in chain: it is loaded beside chains that other programs have made, such as ufw's after.rules.
	addedTable
	// listedTable is of "iptables -S", which people run for single chains, and of which they copy some lines.
	listedTable
)

func pieceOf(t *parser.Table, f *parser.File) piece {
	if t.Line == 0 {
		return listedTable
	}
	for i := range t.Chains {
		if IsBuiltin(t.Name, f.Value(t.Chains[i].Name)) {
			return wholeTable
		}
	}
	return addedTable
}

// lacks says that a chain may well exist although the text does not declare it.
func (p piece) lacks(chain string) bool {
	return p == listedTable || p == addedTable && ProgramChain(chain)
}

// assume notes once that a chain is taken to exist.
func (r *Ruleset) assume(pos parser.Position, span parser.Span, table, chain string) {
	text := fmt.Sprintf("chain %s of table %s is not in the input: it is taken to exist, and what its other rules do is not known", chain, table)
	for _, n := range r.Notes {
		if n.Code == "assumed-chain" && n.Text == text {
			return
		}
	}
	r.Notes = append(r.Notes, parser.Note{Pos: pos, Span: span, Code: "assumed-chain", Text: text})
}

// programChains begin the names of chains that programs make, which scripts and pieces of rules files may expect.
var programChains = []string{
	"DOCKER", "KUBE-", "ts-", "ufw-", "ufw6-", "f2b", "fail2ban-", "cali-", "CNI-", "FLANNEL", "LIBVIRT_", "CILIUM_", "OLD_CILIUM_", "NETAVARK",
	"WEAVE", "MAILCOW", "CROWDSEC", "sshguard",
}

// ProgramChain says whether a chain has a name as programs give them.
func ProgramChain(name string) bool {
	for _, p := range programChains {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}
