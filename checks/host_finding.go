package checks

import (
	"fmt"

	"github.com/dfwlint/dfwlint/hostfacts"
)

// AtHost begins a finding about the host around its rules, which has no line of its own in a dump. It stands at FORWARD, through which
// what containers send and get passes, or at the first chain; nil where there is no chain.
func (p *Pass) AtHost(identity, format string, args ...any) *Finding {
	for _, v := range p.Views {
		c := v.Rules.Chain("filter", "FORWARD")
		for _, t := range v.Rules.Tables {
			if c == nil && len(t.Chains) > 0 {
				c = t.Chains[0]
			}
		}
		if c != nil {
			f := p.AtChain(c, format, args...)
			f.Identity = identity
			f.Subjects = []string{"host " + identity}
			return f
		}
	}
	return nil
}

// sysctl is a kernel parameter of the host, as far as the facts tell it.
func (p *Pass) sysctl(key string) (value string, known bool) {
	if p.Host.Facts == nil {
		return "", false
	}
	value, known = p.Host.Facts.Sysctl[key]
	return value, known
}

// daemon is what is known of the Docker daemon; nil where nothing is.
func (p *Pass) daemon() *hostfacts.DockerInfo {
	if p.Host.Facts == nil {
		return nil
	}
	return p.Host.Facts.Docker
}

// setSysctl are the commands that set a kernel parameter now and at each boot.
func setSysctl(key, value string) []string {
	return []string{
		fmt.Sprintf("sysctl -w %s=%s", key, value),
		fmt.Sprintf("echo '%s = %s' | tee -a /etc/sysctl.d/99-docker-host.conf", key, value),
	}
}
