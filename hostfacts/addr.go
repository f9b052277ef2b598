package hostfacts

import (
	"net/netip"
	"slices"
)

// ipLink is an element of `ip -j addr` (ip/ipaddress.c of iproute2).
type ipLink struct {
	Index    int      `json:"ifindex"`
	Name     string   `json:"ifname"`
	Flags    []string `json:"flags"`
	State    string   `json:"operstate"`
	Master   string   `json:"master"`
	LinkType string   `json:"link_type"`
	MAC      string   `json:"address"`
	Info     struct {
		Kind string `json:"info_kind"`
	} `json:"linkinfo"`
	Addrs *[]ipAddr `json:"addr_info"`
}

type ipAddr struct {
	Family     string `json:"family"`
	Local      string `json:"local"`
	Address    string `json:"address"` // of the peer
	Anycast    string `json:"anycast"`
	Len        *int   `json:"prefixlen"`
	Broadcast  string `json:"broadcast"`
	Scope      string `json:"scope"`
	Secondary  bool   `json:"secondary"`
	Deprecated bool   `json:"deprecated"`
	Temporary  bool   `json:"temporary"`
	DADFailed  bool   `json:"dadfailed"`
}

// ParseAddr reads what `ip -j addr` or `ip -j -d addr` printed. Blank input gives nil; a list without links an empty,
// non-nil slice.
func ParseAddr(data []byte) ([]Link, []Issue) {
	data = trimBOM(data)
	if blank(data) {
		return nil, nil
	}
	list, issues := elements(data)
	if issues != nil {
		return nil, issues
	}
	links := make([]Link, 0, len(list))
	for _, e := range list {
		if len(issues) > maxIssues {
			break
		}
		var l ipLink
		if is := e.decode(data, &l); is != nil {
			issues = append(issues, is...)
			continue
		}
		switch {
		case l.Name == "":
			issues = append(issues, e.issue(data, "an interface without ifname"))
			continue
		case l.Addrs == nil:
			issues = append(issues, e.issue(data, "interface %s has no addr_info: `ip -j addr` is needed, not `ip -j link`", l.Name))
			continue
		}
		link := Link{
			Name: l.Name, Index: l.Index, Kind: l.Info.Kind, Master: l.Master, MAC: l.MAC,
			Up:       slices.Contains(l.Flags, "UP"),
			Loopback: l.Name == "lo" || l.LinkType == "loopback" || slices.Contains(l.Flags, "LOOPBACK"),
		}
		if l.Flags == nil {
			link.Up = l.State == "UP"
		}
		for _, a := range *l.Addrs {
			if a.Family != "" && a.Family != "inet" && a.Family != "inet6" || a.DADFailed || a.Local == "" && a.Address == "" {
				continue
			}
			la, why := a.linkAddr()
			if why != "" {
				issues = append(issues, e.issue(data, "interface %s: %s", l.Name, why))
				continue
			}
			link.Addrs = append(link.Addrs, la)
		}
		links = append(links, link)
	}
	return links, issues
}

// linkAddr turns the parts into prefixes. With a peer the length is that of the peer's network.
func (a ipAddr) linkAddr() (la LinkAddr, why string) {
	la = LinkAddr{Scope: a.Scope, Secondary: a.Secondary, Deprecated: a.Deprecated, Temporary: a.Temporary}
	local := a.Local
	if local == "" {
		local = a.Address
	}
	addr, err := netip.ParseAddr(local)
	if err != nil {
		return la, "the address " + quote(local) + " cannot be read"
	}
	addr = addr.WithZone("")
	bits := addr.BitLen()
	if a.Len != nil {
		bits = *a.Len
	}
	if bits < 0 || bits > addr.BitLen() {
		return la, "the address " + quote(local) + " has an impossible prefix length"
	}
	la.Prefix = netip.PrefixFrom(addr, bits)
	if a.Address != "" && a.Address != local {
		peer, err := netip.ParseAddr(a.Address)
		if err != nil || peer.Is4() != addr.Is4() {
			return la, "the peer address " + quote(a.Address) + " cannot be read"
		}
		la.Peer = netip.PrefixFrom(peer.WithZone(""), bits)
		la.Prefix = netip.PrefixFrom(addr, addr.BitLen())
	}
	if a.Broadcast != "" {
		b, err := netip.ParseAddr(a.Broadcast)
		if err != nil {
			return la, "the broadcast address " + quote(a.Broadcast) + " cannot be read"
		}
		la.Broadcast = b
	}
	return la, ""
}

// Network is the network that the address is in: that of the peer where there is one.
func (la LinkAddr) Network() netip.Prefix {
	if la.Peer.IsValid() {
		return la.Peer.Masked()
	}
	return la.Prefix.Masked()
}
