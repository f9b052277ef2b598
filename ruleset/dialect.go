package ruleset

import (
	"strconv"
	"strings"

	"github.com/dfwlint/dfwlint/parser"
)

// A Dialect is whose iptables-save is imitated. The zero value is iptables-legacy 1.8.9.
type Dialect struct {
	Major, Minor, Patch int
	NFT                 bool
}

// DialectOf reads the dialect from the header of a dump; nil or a dump without header gives the zero
// value.
func DialectOf(d *parser.Dump) Dialect {
	var v Dialect
	if d == nil {
		return v
	}
	v.NFT = d.Backend == parser.NFT || strings.Contains(d.Tool, "nft")
	n := strings.SplitN(strings.TrimPrefix(d.Version, "v"), ".", 3)
	if len(n) == 3 {
		v.Major, _ = strconv.Atoi(n[0])
		v.Minor, _ = strconv.Atoi(n[1])
		v.Patch, _ = strconv.Atoi(n[2])
	}
	return v
}

func (d Dialect) known() bool { return d.Major != 0 }

// atLeast says whether the version is that or newer; an unknown one counts as 1.8.9.
func (d Dialect) atLeast(major, minor, patch int) bool {
	if !d.known() {
		d.Major, d.Minor, d.Patch = 1, 8, 9
	}
	if d.Major != major {
		return d.Major > major
	}
	if d.Minor != minor {
		return d.Minor > minor
	}
	return d.Patch >= patch
}
