package collect

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// sysctlPatterns are the kernel's settings that decide what happens to packets beside the rules: files below /proc/sys.
func sysctlPatterns() []string {
	return []string{
		"net/ipv4/ip_forward", "net/ipv4/conf/*/forwarding", "net/ipv4/conf/*/rp_filter", "net/ipv4/conf/*/route_localnet",
		"net/ipv4/conf/*/accept_local", "net/ipv4/conf/*/src_valid_mark", "net/ipv4/conf/*/log_martians", "net/ipv4/ip_nonlocal_bind",
		"net/ipv4/icmp_echo_ignore_all", "net/ipv4/icmp_echo_ignore_broadcasts", "net/ipv4/ip_local_port_range",
		"net/ipv6/conf/*/forwarding", "net/ipv6/conf/*/disable_ipv6", "net/ipv6/conf/*/accept_ra", "net/ipv6/bindv6only",
		"net/bridge/bridge-nf-call-iptables", "net/bridge/bridge-nf-call-ip6tables",
		"net/netfilter/nf_conntrack_tcp_loose", "net/netfilter/nf_conntrack_tcp_be_liberal", "net/netfilter/nf_conntrack_max", "net/netfilter/nf_conntrack_checksum",
		"net/netfilter/nf_conntrack_helper",
	}
}

// sysctls reads the settings, and writes them as sysctl(8) prints them.
func (c *collector) sysctls() {
	var lines []string
	for _, p := range sysctlPatterns() {
		found, _ := fs.Glob(c.host.Files, path.Join("proc/sys", p))
		for _, name := range found {
			value, err := fs.ReadFile(c.host.Files, name)
			if err != nil {
				continue
			}
			key := strings.TrimPrefix(name, "proc/sys/")
			// sysctl(8) writes dots for slashes, and a slash for a dot in an interface's name.
			key = strings.NewReplacer("/", ".", ".", "/").Replace(key)
			lines = append(lines, fmt.Sprintf("%s = %s\n", key, strings.Join(strings.Fields(string(value)), "\t")))
		}
	}
	if len(lines) == 0 {
		c.missing("No setting below /proc/sys/net could be read.")
		return
	}
	slices.Sort(lines)
	c.res.Files["sysctl.txt"] = []byte(strings.Join(lines, ""))
}
