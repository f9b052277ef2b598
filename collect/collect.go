// Package collect gathers what dfwlint wants to know of a running host: the rules of both backends and the facts beside them. It only
// reads, and it leaves out what may hold secrets: environment variables, labels and commands of containers.
package collect

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"strings"
)

// A Host is how a host is asked.
type Host struct {
	// Run runs a program and gives its standard output. Its error wraps [exec.ErrNotFound] where the program is not there.
	Run func(name string, args ...string) ([]byte, error)
	// Files are the host's files from the root on, for /proc and /etc.
	Files fs.FS
}

// A Result is what was found.
type Result struct {
	// Files are the contents by the names that [hostfacts.Load] looks for.
	Files map[string][]byte
	// Missing says in a sentence each what could not be told, and why.
	Missing []string
}

// Collect asks the host. What cannot be told is noted and stops nothing.
func Collect(h Host) *Result {
	c := &collector{host: h, res: &Result{Files: map[string][]byte{}}}
	c.rules()
	c.output("ip-addr.json", "ip", "-j", "addr")
	c.output("ip-route.json", "ip", "-j", "route", "show", "table", "all")
	c.output("ip-route6.json", "ip", "-j", "-6", "route", "show", "table", "all")
	c.output("ip-rule.json", "ip", "-j", "rule")
	c.output("ipset.save", "ipset", "save")
	c.output("nft.txt", "nft", "list", "ruleset")
	c.output("ss.txt", "ss", "-ltnup")
	c.sysctls()
	c.docker()
	c.daemon()
	return c.res
}

type collector struct {
	host Host
	res  *Result
}

func (c *collector) missing(format string, args ...any) {
	c.res.Missing = append(c.res.Missing, fmt.Sprintf(format, args...))
}

// run runs a program and says why it gave nothing; ok is false then.
func (c *collector) run(name string, args ...string) (out []byte, ok bool) {
	out, err := c.host.Run(name, args...)
	command := strings.Join(append([]string{name}, args...), " ")
	switch {
	case errors.Is(err, exec.ErrNotFound):
		c.missing("%s is not installed.", name)
	case err != nil:
		c.missing("%s failed: %s.", command, strings.TrimSuffix(reason(err), "."))
	default:
		return out, true
	}
	return nil, false
}

// reason is what a failed program wrote to standard error, or else the error.
func reason(err error) string {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if text := strings.TrimSpace(string(exit.Stderr)); text != "" {
			line, _, _ := strings.Cut(text, "\n")
			return line
		}
	}
	return err.Error()
}

// output keeps a program's output under a name.
func (c *collector) output(file, name string, args ...string) {
	if out, ok := c.run(name, args...); ok {
		c.res.Files[file] = out
	}
}

// rules saves the rules of both backends. Where only plain iptables-save is there, it is the only backend.
func (c *collector) rules() {
	saved := false
	for _, s := range []struct{ file, program, proc string }{
		{"nft.rules", "iptables-nft-save", ""}, {"nft6.rules", "ip6tables-nft-save", ""},
		{"legacy.rules", "iptables-legacy-save", "proc/net/ip_tables_names"}, {"legacy6.rules", "ip6tables-legacy-save", "proc/net/ip6_tables_names"},
	} {
		if s.proc != "" {
			// The program would load the kernel's module where it is not loaded, and then there are no rules anyway.
			if names, err := fs.ReadFile(c.host.Files, s.proc); err != nil || len(bytes.TrimSpace(names)) == 0 {
				continue
			}
		}
		out, err := c.host.Run(s.program)
		if err != nil {
			if !errors.Is(err, exec.ErrNotFound) {
				c.missing("%s failed: %s.", s.program, strings.TrimSuffix(reason(err), "."))
			}
			continue
		}
		saved = true
		c.res.Files[s.file] = out
	}
	if !saved {
		c.output("v4.rules", "iptables-save")
		c.output("v6.rules", "ip6tables-save")
	}
}
