package hostfacts

import (
	"encoding/json"
	"net/netip"
	"strconv"
	"strings"
)

// ipRoute is an element of `ip -j route` (ip/iproute.c of iproute2).
type ipRoute struct {
	Type    string          `json:"type"`
	Dst     string          `json:"dst"`
	From    string          `json:"from"`
	Gateway string          `json:"gateway"`
	Via     *ipVia          `json:"via"`
	Dev     string          `json:"dev"`
	Table   json.RawMessage `json:"table"` // a name; a number with -N in some releases
	Scope   json.RawMessage `json:"scope"`
	PrefSrc string          `json:"prefsrc"`
	Src     string          `json:"src"`
	Metric  int             `json:"metric"`
	Flags   []string        `json:"flags"`
	Pref    string          `json:"pref"` // RTA_PREF, of IPv6 routes only
	Hops    []struct {
		Gateway string `json:"gateway"`
		Via     *ipVia `json:"via"`
		Dev     string `json:"dev"`
	} `json:"nexthops"`
	Deleted bool `json:"deleted"`
}

// ipVia is a gateway of another family (RTA_VIA).
type ipVia struct {
	Family string `json:"family"`
	Host   string `json:"host"`
}

// ParseRoutes reads what `ip -j route` printed, plain or `show table all`; the latter without -4 or -6 holds both
// families, so both come out. default6 says which family a default route without any other sign is of. A slice is nil
// where the input has no line of the family, save that of default6, which is nil for blank input only.
func ParseRoutes(data []byte, default6 bool) (v4, v6 []Route, issues []Issue) {
	data = trimBOM(data)
	if blank(data) {
		return nil, nil, nil
	}
	list, issues := elements(data)
	if issues != nil {
		return nil, nil, issues
	}
	if default6 {
		v6 = []Route{}
	} else {
		v4 = []Route{}
	}
	tables := false
	for _, e := range list {
		if len(issues) > maxIssues {
			break
		}
		var r ipRoute
		if is := e.decode(data, &r); is != nil {
			issues = append(issues, is...)
			continue
		}
		if r.Deleted {
			continue
		}
		if r.Dst == "" {
			issues = append(issues, e.issue(data, "a route without dst"))
			continue
		}
		route, why := r.route(default6)
		if why != "" {
			issues = append(issues, e.issue(data, "%s", why))
			continue
		}
		tables = tables || route.Table != ""
		if route.Dst.Addr().Is4() {
			v4 = append(v4, route)
		} else {
			v6 = append(v6, route)
		}
	}
	if tables {
		// `show table all` names every table but the main one.
		nameMain(v4)
		nameMain(v6)
	}
	return v4, v6, issues
}

func nameMain(routes []Route) {
	for i := range routes {
		if routes[i].Table == "" {
			routes[i].Table = "main"
		}
	}
}

func (r ipRoute) route(default6 bool) (Route, string) {
	out := Route{Type: r.Type, Dev: r.Dev, Table: tableName(word(r.Table)), Metric: r.Metric, Scope: word(r.Scope), Flags: r.Flags}
	if out.Type == "" {
		out.Type = "unicast"
	}
	src := r.PrefSrc
	if src == "" {
		src = r.Src
	}
	for _, f := range []struct {
		text string
		to   *netip.Addr
	}{{r.Gateway, &out.Via}, {viaHost(r.Via), &out.Via}, {src, &out.Src}} {
		if f.text == "" {
			continue
		}
		a, err := netip.ParseAddr(f.text)
		if err != nil {
			return out, "the address " + quote(f.text) + " of the route to " + quote(r.Dst) + " cannot be read"
		}
		*f.to = a.WithZone("")
	}
	for _, h := range r.Hops {
		hop := Nexthop{Dev: h.Dev}
		text := h.Gateway
		if text == "" {
			text = viaHost(h.Via)
		}
		if text != "" {
			a, err := netip.ParseAddr(text)
			if err != nil {
				return out, "the gateway " + quote(text) + " of the route to " + quote(r.Dst) + " cannot be read"
			}
			hop.Via = a.WithZone("")
		}
		out.Nexthops = append(out.Nexthops, hop)
	}
	if len(out.Nexthops) > 0 && out.Dev == "" && !out.Via.IsValid() {
		out.Dev, out.Via = out.Nexthops[0].Dev, out.Nexthops[0].Via
	}
	is6 := default6
	switch {
	case r.Pref != "" || out.Src.Is6():
		is6 = true
	case r.Via != nil || out.Src.Is4():
		is6 = false // RTA_VIA is an IPv4 route by way of an IPv6 neighbour
	case out.Via.IsValid():
		is6 = out.Via.Is6()
	}
	var ok bool
	if out.Dst, ok = routePrefix(r.Dst, is6); !ok {
		return out, "the destination " + quote(r.Dst) + " of a route cannot be read"
	}
	if r.From != "" && r.From != "all" {
		if out.From, ok = routePrefix(r.From, out.Dst.Addr().Is6()); !ok {
			return out, "the source " + quote(r.From) + " of a route cannot be read"
		}
	}
	return out, ""
}

func viaHost(v *ipVia) string {
	if v == nil {
		return ""
	}
	return v.Host
}

// word gives a JSON string or number as text.
func word(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}

// tableName turns the numbers of `ip -N` into names (/etc/iproute2/rt_tables).
func tableName(s string) string {
	switch s {
	case "255":
		return "local"
	case "254":
		return "main"
	case "253":
		return "default"
	}
	return s
}

// routePrefix reads a destination: default, an address, a prefix, or one with trailing zero bytes left out (10/8), as
// old releases print them.
func routePrefix(s string, is6 bool) (netip.Prefix, bool) {
	switch s {
	case "default", "any", "all", "0/0":
		if is6 {
			return netip.PrefixFrom(netip.IPv6Unspecified(), 0), true
		}
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0), true
	}
	host, length, slash := strings.Cut(s, "/")
	if !strings.Contains(host, ":") {
		for n := strings.Count(host, "."); n < 3 && slash; n++ {
			host += ".0"
		}
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Prefix{}, false
	}
	a = a.WithZone("")
	bits := a.BitLen()
	if slash {
		if bits, err = strconv.Atoi(length); err != nil || bits < 0 || bits > a.BitLen() {
			return netip.Prefix{}, false
		}
	}
	return netip.PrefixFrom(a, bits).Masked(), true
}
