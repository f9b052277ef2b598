package script

import (
	"strings"

	"github.com/dfwlint/dfwlint/parser"
)

// A tool is a program of iptables.
type tool struct {
	family  parser.Family
	backend parser.Backend
	restore bool
	save    bool
	line    int
}

// toolOf knows the programs of iptables by their names, with or without a path.
func toolOf(name string) (t tool, ok bool) {
	base := name[strings.LastIndexByte(name, '/')+1:]
	rest, six := strings.CutPrefix(base, "ip6tables")
	t.family = parser.IPv6
	if !six {
		if rest, ok = strings.CutPrefix(base, "iptables"); !ok {
			return t, false
		}
		t.family = parser.IPv4
	}
	switch {
	case strings.HasPrefix(rest, "-legacy"):
		t.backend, rest = parser.Legacy, rest[len("-legacy"):]
	case strings.HasPrefix(rest, "-nft"):
		t.backend, rest = parser.NFT, rest[len("-nft"):]
	}
	switch rest {
	case "":
	case "-restore", "-apply":
		t.restore = true
	case "-save":
		t.save = true
	default:
		return t, false
	}
	return t, true
}

// toolVariable guesses from its name that a variable that the text does not set holds the path of iptables.
func toolVariable(name string) (t tool, ok bool) {
	switch strings.ToUpper(strings.Trim(name, "_")) {
	case "IPT", "IPTABLES", "IPT4", "IPTABLES4", "IP4TABLES", "IPTABLES_CMD", "IPT_CMD", "IPTABLES_BIN", "IPTABLES_PATH", "FW", "IPTBL":
		return tool{family: parser.IPv4}, true
	case "IPT6", "IP6TABLES", "IP6T", "IPTABLES6", "IP6TABLES_CMD", "IPT6_CMD", "IP6TABLES_BIN", "IP6TABLES_PATH":
		return tool{family: parser.IPv6}, true
	}
	return tool{}, false
}

// wrapped takes the programs off the begin of a command that only run another: "sudo -n env X=y iptables …". elsewhere names
// one that runs it on another machine or in another network namespace.
func wrapped(args []parser.Arg) (rest []parser.Arg, elsewhere string) {
	for len(args) > 0 && !args[0].Unknown {
		name := args[0].Value
		switch base := name[strings.LastIndexByte(name, '/')+1:]; base {
		case "sudo", "doas", "env", "command", "exec", "nohup", "nice", "ionice", "time", "builtin", "busybox", "chronic", "run", "execute", "do_cmd", "runcmd", "xtables-multi", "xtables-legacy-multi", "xtables-nft-multi":
			args = args[1:]
			for len(args) > 0 && (strings.HasPrefix(args[0].Value, "-") || strings.Contains(args[0].Value, "=")) && !args[0].Unknown {
				takes := base == "sudo" && (args[0].Value == "-u" || args[0].Value == "-g") || base == "nice" && args[0].Value == "-n"
				args = args[1:]
				if takes && len(args) > 0 {
					args = args[1:]
				}
			}
		case "ip":
			if len(args) > 4 && args[1].Value == "netns" && args[2].Value == "exec" {
				return args[4:], "another network namespace"
			}
			return args, ""
		case "nsenter", "chroot", "docker", "podman", "kubectl", "lxc", "lxc-attach", "machinectl":
			return insideOf(args), "another network namespace"
		case "ssh":
			return insideOf(args), "another machine"
		default:
			return args, ""
		}
	}
	return args, ""
}

// insideOf finds a call of iptables among the arguments of a command.
func insideOf(args []parser.Arg) []parser.Arg {
	for i, a := range args {
		if _, ok := toolOf(a.Value); ok && i > 0 {
			return args[i:]
		}
	}
	return nil
}

// split takes -t and -w out of the arguments of a call.
func split(args []parser.Arg) (rest []parser.Arg, table string, known bool) {
	table, known = "filter", true
	value := false
	for i := 0; i < len(args); i++ {
		a := args[i]
		switch {
		case value:
			rest, value = append(rest, a), false
		case a.Unknown && strings.HasPrefix(a.Value, "$"):
			rest = append(rest, a)
		case a.Value == "--comment" || a.Value == "--log-prefix" || a.Value == "--nflog-prefix" || a.Value == "--string":
			rest, value = append(rest, a), true
		case a.Value == "-t" || a.Value == "--table":
			if i++; i < len(args) {
				table, known = args[i].Value, !args[i].Unknown
			}
		case strings.HasPrefix(a.Value, "--table="):
			table, known = a.Value[len("--table="):], !a.Unknown
		case strings.HasPrefix(a.Value, "-t") && !strings.HasPrefix(a.Value, "--"):
			table, known = a.Value[2:], !a.Unknown
		case a.Value == "-w" || a.Value == "--wait" || a.Value == "-W" || a.Value == "--wait-interval":
			if i+1 < len(args) && isNumber(args[i+1].Value) {
				i++
			}
		case strings.HasPrefix(a.Value, "--wait=") || strings.HasPrefix(a.Value, "--wait-interval=") ||
			strings.HasPrefix(a.Value, "-w") && isNumber(a.Value[2:]):
		case a.Value == "-n" || a.Value == "--numeric" || a.Value == "-v" || a.Value == "--verbose" || a.Value == "-x" || a.Value == "--line-numbers":
		default:
			rest = append(rest, a)
		}
	}
	return rest, table, known
}

func isNumber(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
