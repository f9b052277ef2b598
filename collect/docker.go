package collect

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// docker asks the daemon for containers, networks and itself, and reads its settings.
func (c *collector) docker() {
	if c.daemonAnswers() {
		c.inspect("docker-inspect.json", new([]container), []string{"ps", "--all", "--quiet", "--no-trunc"}, []string{"container", "inspect"})
		c.inspect("docker-networks.json", new([]network), []string{"network", "ls", "--quiet", "--no-trunc"}, []string{"network", "inspect"})
	}
	const settings = "/etc/docker/daemon.json"
	if data, err := c.system.ReadFile(settings); err == nil {
		c.keep("daemon.json", data, new(daemon))
	}
}

// daemonAnswers asks the daemon about itself. Where it does not answer, some releases of the client print JSON without the daemon's part
// all the same, and end well.
func (c *collector) daemonAnswers() bool {
	const file = "docker-info.json"
	before := len(c.out.Missing)
	data, ok := c.run(file, "docker", "info", "--format", "{{json .}}")
	var i info
	if len(data) > 0 && json.Unmarshal(data, &i) == nil && i.ServerVersion == "" {
		why := "the daemon does not answer"
		if len(i.ServerErrors) > 0 {
			why = i.ServerErrors[0]
		}
		c.out.Missing = c.out.Missing[:before]
		c.missing("%s: docker info: %s", file, why)
		return false
	}
	if ok {
		c.keep(file, data, new(info))
	}
	return ok
}

// inspect lists objects and looks at all of them at once. Those that are gone meanwhile are left out.
func (c *collector) inspect(file string, into any, list, inspect []string) {
	ids, ok := c.run(file, append([]string{"docker"}, list...)...)
	if !ok {
		return
	}
	words := strings.Fields(string(ids))
	if len(words) == 0 {
		c.out.Files[file] = []byte("[]\n")
		return
	}
	data, ok := c.run(file, append(append([]string{"docker"}, inspect...), words...)...)
	if ok || strings.HasPrefix(strings.TrimSpace(string(data)), "[") && strings.TrimSpace(string(data)) != "[]" {
		c.keep(file, data, into)
	}
}

// linkOptions are options of macvlan, ipvlan and overlay networks: on which link they are, and how.
var linkOptions = [...]string{"parent", "macvlan_mode", "ipvlan_mode", "encrypted"}

// keep writes those fields of a JSON text that the type of into has. A text that cannot be read is left out: what it holds is
// not known, secrets perhaps.
func (c *collector) keep(file string, data []byte, into any) {
	if err := json.Unmarshal(data, into); err != nil {
		c.missing("%s: not the JSON that was expected: %v", file, err)
		return
	}
	if list, ok := into.(*[]network); ok {
		for _, n := range *list {
			for name := range n.Options { // those of other drivers may be credentials
				if !strings.HasPrefix(name, "com.docker.network.") && !slices.Contains(linkOptions[:], name) {
					delete(n.Options, name)
				}
			}
		}
	}
	out, err := json.MarshalIndent(into, "", "  ")
	if err != nil {
		c.missing("%s: %v", file, fmt.Errorf("cannot be written: %w", err))
		return
	}
	c.out.Files[file] = append(out, '\n')
}

// The types below have the fields of moby's API (api/types) that hostfacts reads, and no others. A field that is missing stays missing.

type container struct {
	ID    string `json:"Id"`
	Name  string
	Image string
	State *struct {
		Running bool
		Status  string `json:",omitempty"`
	} `json:",omitempty"`
	Config *struct {
		Image string
	} `json:",omitempty"`
	HostConfig *struct {
		NetworkMode  string
		PortBindings map[string][]binding `json:",omitempty"`
	} `json:",omitempty"`
	NetworkSettings *struct {
		Ports    map[string][]binding `json:",omitempty"`
		Networks map[string]*endpoint `json:",omitempty"`
		endpoint
	} `json:",omitempty"`
}

type binding struct{ HostIp, HostPort string }

type endpoint struct {
	NetworkID         string `json:",omitempty"`
	IPAddress         string `json:",omitempty"`
	GlobalIPv6Address string `json:",omitempty"`
	Gateway           string `json:",omitempty"`
	IPv6Gateway       string `json:",omitempty"`
	GwPriority        int    `json:",omitempty"`
	MacAddress        string `json:",omitempty"`
}

type network struct {
	ID         string `json:"Id"`
	Name       string
	Driver     string
	Scope      string `json:",omitempty"`
	Internal   bool
	Ingress    bool  `json:",omitempty"`
	EnableIPv4 *bool `json:",omitempty"`
	EnableIPv6 bool
	IPAM       *struct {
		Config []struct{ Subnet, IPRange, Gateway string }
	} `json:",omitempty"`
	Options    map[string]string `json:",omitempty"`
	Containers map[string]struct {
		Name, EndpointID, MacAddress, IPv4Address, IPv6Address string
	} `json:",omitempty"`
}

type info struct {
	ServerVersion      string
	LiveRestoreEnabled bool
	SecurityOptions    []string        `json:",omitempty"`
	Warnings           []string        `json:",omitempty"`
	ServerErrors       []string        `json:",omitempty"`
	FirewallBackend    json.RawMessage `json:",omitempty"`
	Swarm              struct{ LocalNodeState string }
}

type daemon struct {
	Proxy     *bool  `json:"userland-proxy,omitempty"`
	IPTables  *bool  `json:"iptables,omitempty"`
	IP6Tables *bool  `json:"ip6tables,omitempty"`
	Backend   string `json:"firewall-backend,omitempty"`
}
