package hostfacts

import (
	"cmp"
	"encoding/json"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// inspected is an element of `docker inspect` (moby's api/types/container.InspectResponse), of Docker 1.9 to 29.
type inspected struct {
	ID        string `json:"Id"`
	Name      string
	Image     string
	ImageName string // podman
	State     *struct {
		Running bool
		Status  string
	}
	Config *struct {
		Image string
	}
	HostConfig *struct {
		NetworkMode  string
		PortBindings map[string][]hostPort
	}
	NetworkSettings *struct {
		Ports    map[string][]hostPort
		Networks map[string]*endpoint
		endpoint // Docker before 1.9 has only this; podman's root network too
	}
}

type hostPort struct{ HostIp, HostPort string }

type endpoint struct {
	NetworkID         string
	IPAddress         string
	GlobalIPv6Address string
	Gateway           string
	IPv6Gateway       string
	GwPriority        int
	MacAddress        string
}

// ParseInspect reads what `docker inspect` of containers printed. Blank input gives nil. Endpoints are sorted by
// network, ports by protocol and number.
func ParseInspect(data []byte) ([]Container, []Issue) {
	data = trimBOM(data)
	if blank(data) {
		return nil, nil
	}
	list, issues := elements(data)
	if issues != nil {
		return nil, issues
	}
	out := make([]Container, 0, len(list))
	for _, e := range list {
		if len(issues) > maxIssues {
			break
		}
		var in inspected
		if is := e.decode(data, &in); is != nil {
			issues = append(issues, is...)
			continue
		}
		if in.ID == "" {
			issues = append(issues, e.issue(data, "a container without Id"))
			continue
		}
		c, wrong := in.container()
		for _, w := range wrong {
			issues = append(issues, e.issue(data, "container %s: %s", c.Name, w))
		}
		out = append(out, c)
	}
	return out, issues
}

func (in *inspected) container() (c Container, wrong []string) {
	c = Container{ID: in.ID, Name: strings.TrimPrefix(in.Name, "/"), Image: cmp.Or(in.ImageName, in.Image)}
	if in.Config != nil && in.Config.Image != "" {
		c.Image = in.Config.Image
	}
	if in.State != nil {
		c.Running = in.State.Running || in.State.Status == "running"
	}
	if in.HostConfig != nil {
		c.NetworkMode = in.HostConfig.NetworkMode
	}
	ns := in.NetworkSettings
	addr := func(text string) netip.Addr {
		a, ok := dockerAddr(text)
		if !ok {
			wrong = append(wrong, "the address "+quote(text)+" cannot be read")
		}
		return a
	}
	add := func(network string, e *endpoint) {
		c.Endpoints = append(c.Endpoints, Endpoint{
			Network: network, NetworkID: e.NetworkID,
			IPv4: addr(e.IPAddress), IPv6: addr(e.GlobalIPv6Address),
			Gateway: addr(e.Gateway), Gateway6: addr(e.IPv6Gateway), GatewayPriority: e.GwPriority, MAC: e.MacAddress,
		})
	}
	if ns != nil {
		for name, e := range ns.Networks {
			if e != nil {
				add(name, e)
			}
		}
		if len(ns.Networks) == 0 && ns.IPAddress != "" {
			add("bridge", &ns.endpoint)
		}
	}
	slices.SortFunc(c.Endpoints, func(a, b Endpoint) int { return cmp.Compare(a.Network, b.Network) })
	// What is asked for differs from what is (random ports), so it counts only for a container that is not there.
	var ports map[string][]hostPort
	if ns != nil && (c.Running || len(ns.Ports) > 0) {
		ports = ns.Ports
	} else if in.HostConfig != nil {
		ports = in.HostConfig.PortBindings
	}
	for key, hosts := range ports {
		number, proto, ok := strings.Cut(key, "/")
		if !ok {
			proto = "tcp"
		}
		port, err := strconv.ParseUint(number, 10, 16)
		if err != nil {
			wrong = append(wrong, "the port "+quote(key)+" cannot be read")
			continue
		}
		for _, h := range hosts {
			b := PortBinding{Proto: strings.ToLower(proto), ContainerPort: uint16(port)}
			if h.HostPort == "" || strings.Contains(h.HostPort, "-") {
				continue // to be chosen when the container starts
			}
			hp, err := strconv.ParseUint(h.HostPort, 10, 16)
			if err != nil {
				wrong = append(wrong, "the host port "+quote(h.HostPort)+" cannot be read")
				continue
			}
			b.HostPort = uint16(hp)
			b.HostIP = addr(h.HostIp)
			switch {
			case b.HostIP.Is4():
				b.Family = 4
			case b.HostIP.Is6():
				b.Family = 6
			case h.HostIp == "0.0.0.0":
				b.Family = 4
			case h.HostIp == "::":
				b.Family = 6
			}
			c.Ports = append(c.Ports, b)
		}
	}
	slices.SortFunc(c.Ports, func(a, b PortBinding) int {
		return cmp.Or(cmp.Compare(a.ContainerPort, b.ContainerPort), cmp.Compare(a.Proto, b.Proto), a.HostIP.Compare(b.HostIP),
			cmp.Compare(a.HostPort, b.HostPort), cmp.Compare(a.Family, b.Family))
	})
	return c, wrong
}

// dockerAddr reads an address with or without a prefix length, in brackets or not; empty, "<nil>" and the unspecified
// address give an invalid one.
func dockerAddr(s string) (netip.Addr, bool) {
	s = strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")
	if s == "" || s == "<nil>" || s == "invalid IP" {
		return netip.Addr{}, true
	}
	host, _, _ := strings.Cut(s, "/")
	a, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}, false
	}
	if a.IsUnspecified() {
		return netip.Addr{}, true
	}
	return a.WithZone("").Unmap(), true
}

// daemonInfo is the part of `docker info` that matters. FirewallBackend is there since Docker 28.
type daemonInfo struct {
	ServerVersion      string
	LiveRestoreEnabled bool
	SecurityOptions    []string
	Warnings           []string
	ServerErrors       []string
	FirewallBackend    json.RawMessage
	IPv4Forwarding     *bool
	Swarm              struct{ LocalNodeState string }
}

// ParseInfo reads what `docker info --format '{{json .}}'` printed. Blank input gives nil.
func ParseInfo(data []byte) (*DockerInfo, []Issue) {
	data = trimBOM(data)
	if blank(data) {
		return nil, nil
	}
	list, issues := elements(data)
	if issues != nil {
		return nil, issues
	}
	if len(list) != 1 {
		return nil, []Issue{{Msg: "one JSON object is expected"}}
	}
	var in daemonInfo
	if is := list[0].decode(data, &in); is != nil {
		return nil, is
	}
	if len(in.ServerErrors) > 0 {
		return nil, []Issue{{Msg: "docker info had no answer from the daemon: " + in.ServerErrors[0]}}
	}
	out := &DockerInfo{
		ServerVersion: in.ServerVersion, LiveRestore: in.LiveRestoreEnabled, Warnings: in.Warnings, IPv4Forwarding: in.IPv4Forwarding,
		Swarm: in.Swarm.LocalNodeState != "" && in.Swarm.LocalNodeState != "inactive",
	}
	var backend struct{ Driver string }
	if json.Unmarshal(in.FirewallBackend, &backend) == nil {
		out.FirewallBackend = backend.Driver
	} else {
		out.FirewallBackend = word(in.FirewallBackend)
	}
	for _, o := range in.SecurityOptions {
		if slices.Contains(strings.Split(o, ","), "name=rootless") {
			out.Rootless = true
		}
	}
	return out, nil
}

// ParseDaemon reads Docker's daemon.json for the settings that docker info does not tell, into info.
func ParseDaemon(data []byte, info *DockerInfo) []Issue {
	data = trimBOM(data)
	if blank(data) {
		return nil
	}
	list, issues := elements(data)
	if issues != nil {
		return issues
	}
	for _, e := range list {
		info.Quoted = append(info.Quoted, quotedSettings(data, e)...)
		var in struct {
			Proxy     daemonSwitch `json:"userland-proxy"`
			IPTables  daemonSwitch `json:"iptables"`
			IP6Tables daemonSwitch `json:"ip6tables"`
			Backend   string       `json:"firewall-backend"`
		}
		if is := e.decode(data, &in); is != nil {
			issues = append(issues, is...)
			continue
		}
		info.UserlandProxy, info.IPTables, info.IP6Tables = in.Proxy.value, in.IPTables.value, in.IP6Tables.value
		info.FirewallBackend = cmp.Or(info.FirewallBackend, in.Backend)
	}
	return issues
}
