// Package collect gathers on a host what dfwlint can use: the dumps of both backends and the facts beside them. It only reads.
//
// Of what Docker tells, it keeps a list of fields and nothing else: environment variables, labels, commands, mounts and
// log settings hold secrets.
package collect

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A System is the host.
type System interface {
	// Run runs a program and gives its standard output. The error says why there is none, with what it wrote to standard error; output beside
	// an error is what the program wrote before it failed.
	Run(ctx context.Context, name string, args ...string) ([]byte, error)
	ReadFile(name string) ([]byte, error)
	// Glob gives the files that fit a pattern, sorted.
	Glob(pattern string) []string
}

// A Collection is what was found.
type Collection struct {
	// Files are the files of a context directory, by the names of design: v4.rules, ip-addr.json and so on.
	Files map[string][]byte
	// Missing says what could not be had, and why, one sentence each.
	Missing []string
	// Incomplete says which rules may exist that are not in Files: a program that saves them is there and failed, or none is. What is
	// linted without them may look better than it is.
	Incomplete []string
}

// ErrNoProgram is the error of [System.Run], wrapped, where there is no such program.
var ErrNoProgram = errors.New("no such program")

// patience is how long one program may take: a daemon that hangs must not hang the collection.
const patience = 30 * time.Second

// Collect asks the system for everything. What is not there is noted and no failure.
func Collect(ctx context.Context, s System) *Collection {
	c := &collector{ctx: ctx, system: s, out: &Collection{Files: map[string][]byte{}}}
	c.dumps("v4.rules", "legacy.rules", "nft.rules", "iptables")
	c.dumps("v6.rules", "legacy6.rules", "nft6.rules", "ip6tables")
	for _, f := range [...]struct {
		file    string
		command []string
	}{
		{"ipset.save", []string{"ipset", "save"}},
		{"ip-addr.json", []string{"ip", "-j", "addr"}},
		{"ip-route.json", []string{"ip", "-4", "-j", "route", "show", "table", "all"}},
		{"ip-route6.json", []string{"ip", "-6", "-j", "route", "show", "table", "all"}},
		{"ip-rule.json", []string{"ip", "-4", "-j", "rule"}},
		{"ip-rule6.json", []string{"ip", "-6", "-j", "rule"}},
		{"nft-ruleset.txt", []string{"nft", "list", "ruleset"}},
		{"ss.txt", []string{"ss", "-ltnup"}},
	} {
		if data, ok := c.run(f.file, f.command...); ok {
			c.out.Files[f.file] = data
		}
	}
	c.sysctls()
	c.docker()
	return c.out
}

type collector struct {
	ctx    context.Context
	system System
	out    *Collection
}

func (c *collector) missing(format string, args ...any) {
	c.out.Missing = append(c.out.Missing, fmt.Sprintf(format, args...))
}

func (c *collector) run(file string, command ...string) ([]byte, bool) {
	ctx, cancel := context.WithTimeout(c.ctx, patience)
	defer cancel()
	data, err := c.system.Run(ctx, command[0], command[1:]...)
	if err != nil {
		c.missing("%s: %s: %v", file, short(command), err)
		return data, false
	}
	return data, true
}

// short is a command line as it is told: lists of IDs are long.
func short(command []string) string {
	const most = 7
	if len(command) > most {
		return strings.Join(command[:most], " ") + " …"
	}
	return strings.Join(command, " ")
}

// dumps saves the rules of one family: of both backends where both hold tables, else of the one that does. The program without a backend in
// its name is asked where neither of the others is to be had. iptables-legacy-save without -t loads no module: it
// reads /proc/net/ip_tables_names (iptables/iptables-save.c).
func (c *collector) dumps(one, legacy, nft, program string) {
	before := len(c.out.Missing)
	n, okNFT := c.save(one, program+"-nft-save")
	l, okLegacy := c.save(one, program+"-legacy-save")
	switch {
	case !okNFT && !okLegacy:
		if data, ok := c.save(one, program+"-save"); ok {
			c.out.Files[one] = data
			c.out.Missing = c.out.Missing[:before]
		} else {
			c.out.Incomplete = append(c.out.Incomplete, "no program saved the rules of "+program)
		}
	case hasTables(n) && hasTables(l):
		c.out.Files[nft], c.out.Files[legacy] = n, l
	case hasTables(l):
		c.out.Files[one] = l
	case okNFT:
		c.out.Files[one] = n
	default:
		c.out.Files[one] = l
	}
}

// save runs a program that saves rules. That it is not installed is common; that it fails is not.
func (c *collector) save(file, program string) ([]byte, bool) {
	ctx, cancel := context.WithTimeout(c.ctx, patience)
	defer cancel()
	data, err := c.system.Run(ctx, program)
	if err == nil {
		return data, true
	}
	c.missing("%s: %s: %v", file, program, err)
	if !errors.Is(err, ErrNoProgram) {
		c.out.Incomplete = append(c.out.Incomplete, fmt.Sprintf("%s failed: %v", program, err))
	}
	return nil, false
}

func hasTables(dump []byte) bool {
	return bytes.HasPrefix(dump, []byte("*")) || bytes.Contains(dump, []byte("\n*"))
}

// sysctls reads what decides whether packets are forwarded, filtered on bridges, or let to loopback addresses.
func (c *collector) sysctls() {
	const root = "/proc/sys/"
	names := []string{
		"net/ipv4/ip_forward", "net/bridge/bridge-nf-call-iptables", "net/bridge/bridge-nf-call-ip6tables",
		"net/netfilter/nf_conntrack_tcp_loose", "net/ipv6/bindv6only",
	}
	for _, pattern := range []string{
		"net/ipv4/conf/*/forwarding", "net/ipv4/conf/*/route_localnet", "net/ipv4/conf/*/rp_filter", "net/ipv4/conf/*/accept_local",
		"net/ipv6/conf/*/forwarding", "net/ipv6/conf/*/disable_ipv6", "net/ipv6/conf/*/accept_ra",
	} {
		for _, f := range c.system.Glob(root + pattern) {
			names = append(names, strings.TrimPrefix(f, root))
		}
	}
	var b bytes.Buffer
	for _, name := range names {
		if data, err := c.system.ReadFile(root + name); err == nil {
			fmt.Fprintf(&b, "%s = %s\n", key(name), strings.Join(strings.Fields(string(data)), " "))
		}
	}
	if b.Len() == 0 {
		c.missing("sysctl.txt: nothing can be read below %s", root)
		return
	}
	c.out.Files["sysctl.txt"] = b.Bytes()
}

// key is a sysctl as sysctl(8) prints it: a dot within an interface's name becomes a slash.
func key(path string) string {
	return strings.Map(func(r rune) rune {
		switch r {
		case '/':
			return '.'
		case '.':
			return '/'
		}
		return r
	}, path)
}

// Names are the files of the collection, sorted.
func (c *Collection) Names() []string {
	var out []string
	for name := range c.Files {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}
