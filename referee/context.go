package referee

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// WriteContext writes what the host knows beside its rules into a directory, in the files that dfwlint's --context reads.
func (l *Lab) WriteContext(dir string) error {
	for _, f := range []struct {
		name string
		args []string
	}{
		{"ip-addr.json", []string{"ip", "-j", "addr"}},
		{"ip-route.json", []string{"ip", "-j", "route", "show", "table", "all"}},
		{"ip-route6.json", []string{"ip", "-6", "-j", "route", "show", "table", "all"}},
		{"ipset.save", []string{"ipset", "save"}},
	} {
		out, err := l.Run(Host, "", f.args[0], f.args[1:]...)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, f.name), []byte(out), 0o644); err != nil {
			return err
		}
	}
	text, err := l.sysctls()
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "sysctl.txt"), []byte(text), 0o644)
}

// sysctls are those of the host that decide on a packet's way, as sysctl(8) prints them.
func (l *Lab) sysctls() (string, error) {
	keys := []string{
		"net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding", "net.ipv4.conf.all.rp_filter", "net.ipv4.conf.all.route_localnet",
		"net.netfilter.nf_conntrack_tcp_loose", "net.bridge.bridge-nf-call-iptables", "net.bridge.bridge-nf-call-ip6tables",
	}
	for _, i := range hostIfaces() {
		keys = append(keys, "net.ipv4.conf."+i+".rp_filter", "net.ipv4.conf."+i+".route_localnet")
	}
	var out strings.Builder
	err := within(l.ns[Host], func() error {
		for _, k := range keys {
			b, err := os.ReadFile(sysctlPath(k))
			if os.IsNotExist(err) {
				continue
			}
			if err != nil {
				return err
			}
			fmt.Fprintf(&out, "%s = %s\n", k, strings.TrimSpace(string(b)))
		}
		return nil
	})
	return out.String(), err
}
