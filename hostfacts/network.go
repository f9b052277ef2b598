package hostfacts

import (
	"cmp"
	"net/netip"
	"slices"
)

// Options of the bridge driver (libnetwork's netlabel and drivers/bridge/labels.go).
const (
	optBridgeName    = "com.docker.network.bridge.name"
	optDefaultBridge = "com.docker.network.bridge.default_bridge"
)

// inspectedNetwork is an element of `docker network inspect`, or of podman's (the lower-case keys, which JSON decoding
// folds into the same fields).
type inspectedNetwork struct {
	Name       string
	ID         string `json:"Id"`
	Driver     string
	EnableIPv6 bool
	Internal   bool
	IPAM       struct {
		Config []struct{ Subnet, Gateway string }
	}
	Options    map[string]string
	Containers map[string]struct {
		Name, MacAddress         string
		IPv4Address, IPv6Address string
	}
	// podman's
	Interface string `json:"network_interface"`
	IPv6      bool   `json:"ipv6_enabled"`
	Subnets   []struct{ Subnet, Gateway string }
}

// ParseNetworks reads what `docker network inspect` printed. Blank input gives nil. Members are sorted by name.
func ParseNetworks(data []byte) ([]Network, []Issue) {
	data = trimBOM(data)
	if blank(data) {
		return nil, nil
	}
	list, issues := elements(data)
	if issues != nil {
		return nil, issues
	}
	out := make([]Network, 0, len(list))
	for _, e := range list {
		if len(issues) > maxIssues {
			break
		}
		var in inspectedNetwork
		if is := e.decode(data, &in); is != nil {
			issues = append(issues, is...)
			continue
		}
		if in.Name == "" {
			issues = append(issues, e.issue(data, "a network without Name"))
			continue
		}
		n, wrong := in.network()
		for _, w := range wrong {
			issues = append(issues, e.issue(data, "network %s: %s", n.Name, w))
		}
		out = append(out, n)
	}
	return out, issues
}

func (in *inspectedNetwork) network() (n Network, wrong []string) {
	n = Network{
		ID: in.ID, Name: in.Name, Driver: in.Driver, Internal: in.Internal, IPv6: in.EnableIPv6 || in.IPv6, Options: in.Options,
		Bridge: cmp.Or(in.Interface, bridgeName(in.Driver, in.Name, in.ID, in.Options)),
	}
	addr := func(text string) netip.Addr {
		a, ok := dockerAddr(text)
		if !ok {
			wrong = append(wrong, "the address "+quote(text)+" cannot be read")
		}
		return a
	}
	for _, c := range append(slices.Clone(in.IPAM.Config), in.Subnets...) {
		if c.Subnet != "" && c.Subnet != "<nil>" {
			p, err := netip.ParsePrefix(c.Subnet)
			if err != nil {
				wrong = append(wrong, "the subnet "+quote(c.Subnet)+" cannot be read")
				continue
			}
			n.Subnets = append(n.Subnets, p.Masked())
		}
		if a := addr(c.Gateway); a.IsValid() {
			n.Gateways = append(n.Gateways, a)
		}
	}
	for id, c := range in.Containers {
		n.Members = append(n.Members, Member{
			ContainerID: id, Name: c.Name, MAC: c.MacAddress, IPv4: addr(c.IPv4Address), IPv6: addr(c.IPv6Address),
		})
	}
	slices.SortFunc(n.Members, func(a, b Member) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ContainerID, b.ContainerID))
	})
	return n, wrong
}

// bridgeName is the bridge interface that Docker makes for a network: the one that the options name, docker0 for the
// default network, docker_gwbridge for swarm's, and otherwise "br-" with the ID's first twelve characters
// (parseNetworkOptions in libnetwork's bridge driver). It is empty for other drivers.
func bridgeName(driver, name, id string, options map[string]string) string {
	switch {
	case driver != "bridge":
		return ""
	case options[optBridgeName] != "":
		return options[optBridgeName]
	case name == "bridge" || options[optDefaultBridge] == "true":
		return "docker0"
	case name == "docker_gwbridge":
		return name
	case len(id) < 12:
		return ""
	}
	return "br-" + id[:12]
}
