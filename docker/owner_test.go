package docker

import (
	"testing"

	"github.com/dfwlint/dfwlint/ruleset"
)

func TestOwners(t *testing.T) {
	rs, marks := read(t, `*mangle
:PREROUTING ACCEPT [0:0]
:IN_rules - [0:0]
U: -A IN_rules -j ACCEPT
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:ufw-before-input - [0:0]
:f2b-sshd - [0:0]
:LIBVIRT_FWI - [0:0]
:KUBE-FORWARD - [0:0]
:CNI-FORWARD - [0:0]
:NETAVARK_FORWARD - [0:0]
:ts-input - [0:0]
:CATTLE_FORWARD - [0:0]
:InstanceServices - [0:0]
:INPUT_ZONES - [0:0]
:IN_public - [0:0]
:mine - [0:0]
:DOCKER-USER - [0:0]
O ufw: -A INPUT -j ufw-before-input
O fail2ban: -A INPUT -p tcp -m multiport --dports 22 -j f2b-sshd
O tailscale: -A INPUT -j ts-input
O firewalld: -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED,DNAT -j ACCEPT
O firewalld: -A INPUT -i lo -j ACCEPT
O firewalld: -A INPUT -j INPUT_ZONES
O firewalld: -A INPUT -m conntrack --ctstate INVALID -j DROP
O firewalld: -A INPUT -j REJECT --reject-with icmp-host-prohibited
U: -A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
U: -A INPUT -j mine
O lxd: -A INPUT -i lxdbr0 -p tcp -m tcp --dport 53 -m comment --comment "generated for LXD network lxdbr0" -j ACCEPT
-A FORWARD -j DOCKER-USER
O libvirt: -A FORWARD -j LIBVIRT_FWI
O rancher: -A FORWARD -j CATTLE_FORWARD
O kubernetes: -A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
O cni: -A FORWARD -m comment --comment "CNI firewall plugin rules" -j CNI-FORWARD
O podman: -A FORWARD -m comment --comment "netavark firewall rules" -j NETAVARK_FORWARD
O oci: -A OUTPUT -d 169.254.0.0/16 -j InstanceServices
O kubernetes: -A OUTPUT -m comment --comment "cali:tVnHkvAo15HuiPy0" -j ACCEPT
O ufw: -A ufw-before-input -p tcp -m tcp --dport 22 -j ACCEPT
O fail2ban: -A f2b-sshd -j RETURN
O firewalld: -A IN_public -j ACCEPT
O fail2ban: -A DOCKER-USER -p tcp -m multiport --dports 8080 -j f2b-sshd
U: -A mine -p tcp -m tcp --dport 443 -j ACCEPT
COMMIT
`)
	h := Recognise(rs)
	judge(t, h, rs, marks)
	for name, want := range map[string]Owner{"INPUT": User, "mine": User, "DOCKER-USER": Docker, "KUBE-FORWARD": Kubernetes, "IN_public": Firewalld} {
		if got := h.OwnerOfChain(rs.Chain("filter", name)); got != want {
			t.Errorf("chain %s: %s, want %s", name, got, want)
		}
	}
	if got := h.OwnerOfChain(nil); got != User {
		t.Errorf("no chain: %s", got)
	}
}

func TestIsDockerChain(t *testing.T) {
	for _, tt := range []struct {
		table, chain string
		want         bool
	}{
		{"filter", "DOCKER", true}, {"nat", "DOCKER", true}, {"raw", "DOCKER", false}, {"filter", "DOCKER-USER", true},
		{"nat", "DOCKER-USER", false}, {"nat", "DOCKER-INGRESS", true}, {"filter", "DOCKER-BLOCKLIST", false},
		{"filter", "DOCKER-ISOLATION", true}, {"nat", "DOCKER_OUTPUT", true}, {"filter", "FORWARD", false}, {"filter", "", false},
	} {
		if got := IsDockerChain(tt.table, tt.chain); got != tt.want {
			t.Errorf("IsDockerChain(%s, %s) = %v", tt.table, tt.chain, got)
		}
	}
}

// TestTemplatesAreDistinct: a rule can fit one template only, or the answer would hang on their order.
func TestTemplatesAreDistinct(t *testing.T) {
	for sig, list := range buildIndex() {
		seen := [7]bool{}
		for _, tpl := range list {
			if tpl.family == 0 && len(list) > 1 || seen[tpl.family] {
				t.Errorf("%s %s: templates share %+v", sig.table, chainNames[sig.chain], sig)
			}
			seen[tpl.family] = true
			if tpl.eras == 0 {
				t.Errorf("%s %s: a template of no era: %+v", sig.table, chainNames[sig.chain], sig)
			}
		}
	}
}

// TestStrangeRulesets: parts of a dump may be missing.
func TestStrangeRulesets(t *testing.T) {
	if h := Recognise(); h.HasDocker || h.Era != EraUnknown {
		t.Errorf("of nothing: %+v", h)
	}
	h := Recognise(nil, &ruleset.Ruleset{})
	if h.HasDocker {
		t.Errorf("of an empty ruleset: %+v", h)
	}
	r := &ruleset.Rule{}
	if h.Owner(r) != User || h.Stale(r) || h.Reason(r) != "" {
		t.Error("a rule that was never seen has an owner, a reason or is stale")
	}
}
