package referee

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/vishvananda/netlink"
)

// Run runs a program in the node's namespace and gives its standard output. The error holds what it wrote to standard error.
func (l *Lab) Run(n Node, stdin, name string, args ...string) (string, error) {
	var out, stderr bytes.Buffer
	err := within(l.ns[n], func() error {
		c := exec.Command(name, args...)
		c.Stdin, c.Stdout, c.Stderr = strings.NewReader(stdin), &out, &stderr
		c.Env = append(os.Environ(), "XTABLES_LOCKFILE="+l.lockFile(), "LC_ALL=C")
		return c.Run()
	})
	if err != nil {
		return out.String(), fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return out.String(), nil
}

// Load gives the rules to iptables-restore in the host's namespace. Tables that the rules do not name stay as they are.
func (l *Lab) Load(b Backend, f Family, rules string) error {
	_, err := l.Run(Host, rules, tool(b, f, "-restore"))
	return err
}

// Save is what iptables-save prints in the host's namespace.
func (l *Lab) Save(b Backend, f Family, counters bool) (string, error) {
	if counters {
		return l.Run(Host, "", tool(b, f, "-save"), "-c")
	}
	return l.Run(Host, "", tool(b, f, "-save"))
}

// Tables are the names of iptables' tables, in the order in which the kernel's hooks consult them.
func Tables() []string { return []string{"raw", "mangle", "nat", "filter", "security"} }

// builtin are the chains of a table.
func builtin(table string) []string {
	switch table {
	case "raw":
		return []string{"PREROUTING", "OUTPUT"}
	case "mangle":
		return []string{"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"}
	case "nat":
		return []string{"PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"}
	}
	return []string{"INPUT", "FORWARD", "OUTPUT"}
}

// Clear empties every table of backend and family that exists: no rules, no user chains, policy ACCEPT. The tables themselves stay
// where the kernel has no way to take them away.
func (l *Lab) Clear(b Backend, f Family) error {
	have, err := l.Save(b, f, false)
	if err != nil {
		return err
	}
	var empty strings.Builder
	for _, t := range Tables() {
		if !strings.Contains(have, "*"+t+"\n") {
			continue
		}
		fmt.Fprintf(&empty, "*%s\n", t)
		for _, c := range builtin(t) {
			fmt.Fprintf(&empty, ":%s ACCEPT [0:0]\n", c)
		}
		empty.WriteString("COMMIT\n")
	}
	if empty.Len() == 0 {
		return nil
	}
	return l.Load(b, f, empty.String())
}

// IPSet gives commands to "ipset restore" in the host's namespace; sets that exist are kept and added to.
func (l *Lab) IPSet(commands string) error {
	_, err := l.Run(Host, commands, "ipset", "-exist", "restore")
	return err
}

// FlushConntrack makes the host forget all connections of both families.
func (l *Lab) FlushConntrack() error {
	if err := l.host.ConntrackTableFlush(netlink.ConntrackTable); err != nil {
		return fmt.Errorf("flush conntrack: %w", err)
	}
	return nil
}
