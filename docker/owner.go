package docker

import (
	"fmt"
	"strings"

	"github.com/dfwlint/dfwlint/ruleset"
)

// An Owner is who writes a chain or a rule.
type Owner string

// The owners. User is whoever is not known: a person, or a person's script.
const (
	User       Owner = "user"
	Docker     Owner = "docker"
	UFW        Owner = "ufw"
	Firewalld  Owner = "firewalld"
	Fail2ban   Owner = "fail2ban"
	SSHGuard   Owner = "sshguard"
	CrowdSec   Owner = "crowdsec"
	Libvirt    Owner = "libvirt"
	Kubernetes Owner = "kubernetes" // kube-proxy, kubelet and the network plugins Calico, Cilium, Flannel, Weave
	CNI        Owner = "cni"        // the CNI project's own plugins, of Podman 3, nerdctl and Kubernetes
	Podman     Owner = "podman"     // Netavark
	LXD        Owner = "lxd"        // and Incus
	Tailscale  Owner = "tailscale"
	WireGuard  Owner = "wg-quick"
	Istio      Owner = "istio"
	OCI        Owner = "oci" // Oracle's cloud images
	MiniUPnP   Owner = "miniupnpd"
	Rancher    Owner = "rancher" // 1.x; later ones are Kubernetes
)

// chainPattern names the chains of an owner: a prefix, or with exact the whole name.
type chainPattern struct {
	owner Owner
	name  string
	exact bool
	// skeleton says that the name is common enough to need a chain of firewalld's own in the same table.
	skeleton bool
}

// chainPatterns come from the sources of the programs named; the first that fits wins.
var chainPatterns = []chainPattern{
	{owner: UFW, name: "ufw-"},
	{owner: UFW, name: "ufw6-"},
	{owner: Fail2ban, name: "f2b-"},
	{owner: Fail2ban, name: "fail2ban-"},
	{owner: SSHGuard, name: "sshguard", exact: true},
	{owner: CrowdSec, name: "CROWDSEC_CHAIN"},
	{owner: CrowdSec, name: "crowdsec"},
	{owner: Libvirt, name: "LIBVIRT_"},
	{owner: Kubernetes, name: "KUBE-"},
	{owner: Kubernetes, name: "cali-"},
	{owner: Kubernetes, name: "CILIUM_"},
	{owner: Kubernetes, name: "OLD_CILIUM_"},
	{owner: Kubernetes, name: "FLANNEL-"},
	{owner: Kubernetes, name: "WEAVE"},
	{owner: Kubernetes, name: "AWS-SNAT-CHAIN"},
	{owner: Kubernetes, name: "AWS-CONNMARK-CHAIN"},
	{owner: CNI, name: "CNI-"},
	{owner: Podman, name: "NETAVARK"},
	{owner: Tailscale, name: "ts-"},
	{owner: Istio, name: "ISTIO_"},
	{owner: OCI, name: "InstanceServices", exact: true},
	{owner: OCI, name: "BareMetalInstanceServices", exact: true},
	{owner: MiniUPnP, name: "MINIUPNPD"},
	{owner: Rancher, name: "CATTLE_"},
	{owner: Firewalld, name: "INPUT_ZONES"},
	{owner: Firewalld, name: "FORWARD_ZONES"},
	{owner: Firewalld, name: "OUTPUT_ZONES"},
	{owner: Firewalld, name: "FORWARD_IN_ZONES"},
	{owner: Firewalld, name: "FORWARD_OUT_ZONES"},
	{owner: Firewalld, name: "PREROUTING_ZONES"},
	{owner: Firewalld, name: "POSTROUTING_ZONES"},
	{owner: Firewalld, name: "INPUT_POLICIES_"},
	{owner: Firewalld, name: "FORWARD_POLICIES_"},
	{owner: Firewalld, name: "OUTPUT_POLICIES_"},
	{owner: Firewalld, name: "PREROUTING_POLICIES_"},
	{owner: Firewalld, name: "POSTROUTING_POLICIES_"},
	{owner: Firewalld, name: "INPUT_direct", exact: true},
	{owner: Firewalld, name: "FORWARD_direct", exact: true},
	{owner: Firewalld, name: "OUTPUT_direct", exact: true},
	{owner: Firewalld, name: "PREROUTING_direct", exact: true},
	{owner: Firewalld, name: "POSTROUTING_direct", exact: true},
	{owner: Firewalld, name: "IN_", skeleton: true},
	{owner: Firewalld, name: "FWD_", skeleton: true},
	{owner: Firewalld, name: "FWDI_", skeleton: true},
	{owner: Firewalld, name: "FWDO_", skeleton: true},
	{owner: Firewalld, name: "OUT_", skeleton: true},
	{owner: Firewalld, name: "PRE_", skeleton: true},
	{owner: Firewalld, name: "POST_", skeleton: true},
	{owner: Firewalld, name: "RFC3964_IPv4", exact: true, skeleton: true},
}

// commentPattern names a comment of an owner's: a prefix, or with inside any part.
type commentPattern struct {
	owner  Owner
	text   string
	inside bool
}

var commentPatterns = []commentPattern{
	{owner: LXD, text: "generated for LXD "},
	{owner: LXD, text: "generated for Incus "},
	{owner: LXD, text: "managed by lxd-bridge"},
	{owner: WireGuard, text: "wg-quick(8) rule for "},
	{owner: Kubernetes, text: "cali:"},
	{owner: Kubernetes, text: "cilium: "},
	{owner: Kubernetes, text: "flanneld "},
	{owner: Kubernetes, text: "kubernetes "},
	{owner: Kubernetes, text: "NOTE: this must be before the NEW"},
	{owner: CNI, text: "CNI portfwd "},
	{owner: CNI, text: "CNI firewall plugin "},
	{owner: CNI, text: "name: \""},
	{owner: Podman, text: "netavark "},
	{owner: CrowdSec, text: "CrowdSec"},
	{owner: OCI, text: "See the Oracle-Provided Images section", inside: true},
}

func ownerByName(name string) (Owner, bool) {
	for _, p := range chainPatterns {
		if name == p.name || !p.exact && strings.HasPrefix(name, p.name) {
			return p.owner, p.skeleton
		}
	}
	return User, false
}

// OwnerOfChain says who made the chain. Built-in chains are the User's; DOCKER-USER is Docker's, its rules are mostly not.
func (h *Host) OwnerOfChain(c *ruleset.Chain) Owner {
	if c == nil || c.Builtin || c.Table == nil {
		return User
	}
	if IsDockerChain(c.Table.Name, c.Name) {
		return Docker
	}
	o, skeleton := ownerByName(c.Name)
	if skeleton && !hasFirewalld(c.Table) {
		return User
	}
	return o
}

// hasFirewalld says whether firewalld's own chains are in the table.
func hasFirewalld(t *ruleset.Table) bool {
	for _, c := range t.Chains {
		if o, skeleton := ownerByName(c.Name); o == Firewalld && !skeleton {
			return true
		}
	}
	return false
}

// Owner says who wrote the rule: Docker if it fits a template of Docker's and everything around agrees; otherwise who owns its chain,
// its comment, or the chain that it jumps to.
func (h *Host) Owner(r *ruleset.Rule) Owner {
	if c := h.rules[r]; c != nil && c.docker() {
		return Docker
	}
	if o := h.OwnerOfChain(r.Chain); o != User && o != Docker {
		return o
	}
	for _, m := range r.Matches {
		c, ok := m.(*ruleset.Comment)
		if !ok {
			continue
		}
		for _, p := range commentPatterns {
			if strings.HasPrefix(c.Text, p.text) || p.inside && strings.Contains(c.Text, p.text) {
				return p.owner
			}
		}
	}
	if j, ok := r.Target.(*ruleset.Jump); ok {
		if o := h.OwnerOfChain(j.Chain); o != Docker {
			return o
		}
	}
	if firewalldBase(r) {
		return Firewalld
	}
	return User
}

// firewalldBase says whether a rule of a built-in chain is one of those that firewalld's iptables backend puts there itself
// (src/firewall/core/ipXtables.py, build_default_rules and build_rpfilter_rules). A person's rules get into firewalld's own
// chains, also the direct ones.
func firewalldBase(r *ruleset.Rule) bool {
	if r.Chain == nil || !r.Chain.Builtin || r.Chain.Table == nil || !hasFirewalld(r.Chain.Table) {
		return false
	}
	var only ruleset.Match
	for _, m := range r.Matches {
		switch m := m.(type) {
		case *ruleset.Always:
		case *ruleset.Proto, *ruleset.ICMP:
			if r.Chain.Name != "PREROUTING" {
				return false
			}
			if only == nil {
				only = m
			}
		default:
			if only != nil {
				return false
			}
			only = m
		}
	}
	switch t := r.Target.(type) {
	case *ruleset.Reject:
		return only == nil
	case *ruleset.Log:
		return t.Prefix == "STATE_INVALID_DROP: " || t.Prefix == "FINAL_REJECT: " || t.Prefix == "rpfilter_DROP: "
	case *ruleset.Accept:
		switch m := only.(type) {
		case *ruleset.CTState:
			return !m.Not && m.States&^ruleset.StateDNAT == ruleset.StateRelated|ruleset.StateEstablished
		case *ruleset.Iface:
			return !m.Not && m.Pattern.Name == "lo"
		case *ruleset.Proto:
			return m.Proto == 58 && !m.Not
		}
	case *ruleset.Drop:
		switch m := only.(type) {
		case *ruleset.CTState:
			return !m.Not && m.States == ruleset.StateInvalid
		case *ruleset.Opaque:
			return m.Module == "rpfilter" && r.Chain.Name == "PREROUTING"
		}
	}
	return false
}

// Stale says that the rule is Docker's by form and bridge, but no longer fits what is around it: its counterpart or its network
// is gone, another release is in charge, or it stands there twice.
func (h *Host) Stale(r *ruleset.Rule) bool {
	c := h.rules[r]
	return c != nil && c.docker() && c.stale != ""
}

// StaleReason says in a sentence without a full stop why a rule is stale; empty if it is not.
func (h *Host) StaleReason(r *ruleset.Rule) string {
	if !h.Stale(r) {
		return ""
	}
	return h.rules[r].stale
}

// Reason says in words why a rule is not Docker's: for rules in chains of Docker's, and for those elsewhere that look like Docker's.
// It is empty for Docker's own rules and where there is nothing to say.
func (h *Host) Reason(r *ruleset.Rule) string {
	if c := h.rules[r]; c != nil {
		return c.foreign
	}
	if r.Chain == nil || r.Chain.Table == nil || !IsDockerChain(r.Chain.Table.Name, r.Chain.Name) {
		return ""
	}
	if chainOf(r.Chain) == chUser {
		return "DOCKER-USER is for people's rules; Docker writes nothing there but a closing RETURN"
	}
	f := formOf(r, familyOf(r))
	if f.foreign != "" {
		return f.foreign
	}
	for _, name := range [...]string{f.in, f.out} {
		if name != "" && h.HasDocker && h.bridges[name] == nil {
			return fmt.Sprintf("%s is not a bridge of Docker's", name)
		}
	}
	return fmt.Sprintf("no release of Docker writes a rule of this form into %s", r.Chain.Name)
}
