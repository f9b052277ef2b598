package checks

// families gives the host's view of each family; nil where there are no rules of it.
func (p *Pass) families() (v4, v6 *View) {
	for _, v := range p.Views {
		if v.V6() {
			v6 = v
		} else {
			v4 = v
		}
	}
	return v4, v6
}

// withoutIPv6 says whether the host has no IPv6 address that others could send to: by a sysctl, or because no interface that leads
// outside has one. known is false where nothing tells.
func (p *Pass) withoutIPv6() (none, known bool) {
	f := p.Host.Facts
	if f == nil {
		return false, false
	}
	if f.Sysctl["net.ipv6.conf.all.disable_ipv6"] == "1" {
		return true, true
	}
	if f.Links == nil {
		return false, false
	}
	_, v6 := p.families()
	for _, l := range f.Links {
		if l.Loopback || l.Name == "lo" || v6 != nil && v6.Net.Env.IsInside(l.Name) {
			continue
		}
		for _, a := range l.Addrs {
			if addr := a.Prefix.Addr(); addr.Is6() && !addr.Is4In6() && addr.IsGlobalUnicast() {
				return false, true
			}
		}
	}
	return true, true
}

// assumeIPv6 notes on a finding that it rests on the host having an IPv6 address, where nothing tells.
func (p *Pass) assumeIPv6(f *Finding) {
	if _, known := p.withoutIPv6(); !known {
		f.Possible = true
		f.Assumptions = append(f.Assumptions, "The host has an IPv6 address that others can send to.")
	}
}
