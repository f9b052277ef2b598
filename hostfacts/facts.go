// Package hostfacts reads what is known of a host beside its dumps: addresses, routes, ipsets, containers and
// networks, sysctls and listening sockets. Every file is optional; what is missing is said, never guessed.
package hostfacts

import "net/netip"

// Facts is what a context directory told. A nil slice or map means that the file was not there; an empty one that
// it was there and empty.
type Facts struct {
	// Dir is the directory it was read from; Files the names found in it.
	Dir   string
	Files []string

	Links      []Link
	Routes     []Route
	Routes6    []Route
	Sets       map[string]*IPSet
	Containers []Container
	Networks   []Network
	Docker     *DockerInfo
	Sysctl     map[string]string
	Listeners  []Listener
	// Connections are the entries of the connection table, from `conntrack -L`.
	Connections []Connection
	// Dumps are the host's other dumps by file name: v4.rules, v6.rules, legacy.rules, nft.rules.
	Dumps map[string][]byte
	// Problems are files that could not be read or understood, one sentence each. The fact of such a JSON file is nil:
	// a half-read list of addresses would make others look foreign.
	Problems []string
	// Notes are what is worth saying without being a problem: files that are there but empty, which tell nothing.
	Notes []string
}

// A Link is an interface with its addresses, from `ip -j addr`.
type Link struct {
	Name   string
	Index  int
	Up     bool
	Kind   string // "bridge", "veth", …; empty if not told
	Master string // bridge that it is a port of
	MAC    string
	Addrs  []LinkAddr
	// Loopback says that all of the prefixes of its IPv4 addresses are local (fib_add_ifaddr in
	// net/ipv4/fib_frontend.c).
	Loopback bool
}

// A LinkAddr is an address with the prefix of its network.
type LinkAddr struct {
	Prefix    netip.Prefix // host bits kept: 172.17.0.1/16; a single address where there is a Peer
	Broadcast netip.Addr
	Scope     string // "global", "link", "host"
	Peer      netip.Prefix
	// Secondary, Deprecated and Temporary weigh in the choice of a source address.
	Secondary, Deprecated, Temporary bool
}

// A Route is a line of `ip -j route`. Dst is 0.0.0.0/0 or ::/0 for the default route.
type Route struct {
	Dst    netip.Prefix
	Type   string // "unicast", "local", "broadcast", "multicast", "blackhole", "unreachable", "prohibit", "throw", …
	Dev    string
	Via    netip.Addr
	Src    netip.Addr // preferred source
	Table  string     // "main", "local", …; empty where plain `ip route` was given
	Metric int
	Scope  string
	From   netip.Prefix // only for packets from there; invalid for all
	Flags  []string     // "onlink", "linkdown", "dead", …
	// Nexthops are those of a multipath route; Dev and Via are then the first one's.
	Nexthops []Nexthop
}

// A Nexthop is one way of a multipath route.
type Nexthop struct {
	Dev string
	Via netip.Addr
}

// An IPSet is a set of `ipset save`.
type IPSet struct {
	Name    string
	Type    string // "hash:ip", "hash:net,port", "list:set", …
	V6      bool
	Options map[string]string
	Entries []SetEntry

	siblings map[string]*IPSet // for the members of a list:set
	index    *setIndex
}

// A SetEntry is one member, its parts in the order of the set's type.
type SetEntry struct {
	Parts   []string
	NoMatch bool
	Options map[string]string
}

// A Container is what docker inspect says of a running container.
type Container struct {
	ID, Name, Image string
	Running         bool
	NetworkMode     string
	Endpoints       []Endpoint
	Ports           []PortBinding
}

// An Endpoint is a container's place in a network.
type Endpoint struct {
	Network    string // name
	NetworkID  string
	IPv4, IPv6 netip.Addr
	Gateway    netip.Addr
	Gateway6   netip.Addr
	// GatewayPriority decides which of its networks a container's default route leads through (docker network connect --gw-priority, Docker 28).
	GatewayPriority int
	MAC             string
}

// A PortBinding is a published port.
type PortBinding struct {
	Proto         string
	ContainerPort uint16
	HostIP        netip.Addr // invalid for any
	HostPort      uint16
	// Family is 4 for 0.0.0.0 or an IPv4 address, 6 for :: or an IPv6 address, 0 where it is not told.
	Family int
}

// A Network is what docker network inspect says.
type Network struct {
	ID, Name, Driver string
	Bridge           string // name of the bridge interface, derived from the options or the ID
	Internal, IPv6   bool
	Subnets          []netip.Prefix
	Gateways         []netip.Addr
	Options          map[string]string
	Members          []Member
}

// A Member is a container in a network as docker network inspect tells it.
type Member struct {
	ContainerID, Name string
	IPv4, IPv6        netip.Addr
	MAC               string
}

// DockerInfo is the part of docker info that matters.
type DockerInfo struct {
	ServerVersion   string
	FirewallBackend string
	LiveRestore     bool
	Swarm           bool
	Rootless        bool
	Warnings        []string
	// IPv4Forwarding is net.ipv4.ip_forward as the daemon saw it; nil where docker info does not tell.
	IPv4Forwarding *bool
	// UserlandProxy and IPTables come from daemon.json, if at all: docker info does not tell them.
	UserlandProxy *bool
	IPTables      *bool
	IP6Tables     *bool
	// Quoted are settings of daemon.json with a text where the daemon takes true or false. It refuses such a file (moby's
	// daemon/config, whose fields are of type bool), so none of them counts above.
	Quoted []QuotedSetting
}

// A QuotedSetting is a setting of daemon.json whose value is in quotes and must not be.
type QuotedSetting struct {
	Name, Value string
	Line        int // counted from 1
}

// A Listener is a listening socket of the host.
type Listener struct {
	Proto   string     // "tcp" or "udp"
	Addr    netip.Addr // unspecified for any
	V6Only  bool
	Port    uint16
	Dev     string // interface that it is bound to, "" for any
	Process string
}
