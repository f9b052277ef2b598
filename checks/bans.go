package checks

import (
	"slices"
	"strings"

	"github.com/dfwlint/dfwlint/docker"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// A banCall is a rule by which packets come to the bans of a program that watches logs: a jump to its chain, or a deny that asks
// its ipset.
type banCall struct {
	rule *ruleset.Rule
	// chain holds the bans; nil where the rule asks a set.
	chain *ruleset.Chain
	owner docker.Owner
	// jail is the name of the jail, as in "f2b-nginx"; for CrowdSec it is empty.
	jail string
}

// who names the one that bans: "fail2ban's jail nginx".
func (b *banCall) who() string {
	if b.owner == docker.CrowdSec {
		return "CrowdSec"
	}
	return "Fail2ban's jail " + b.jail
}

// target is how a rule of one's own leads packets to the same bans.
func (b *banCall) target() string {
	if b.chain != nil {
		return "-j " + b.chain.Name
	}
	return setSpec(b.rule) + "-j DROP"
}

// setSpec is the part of a rule that asks ipsets, with a blank behind it.
func setSpec(r *ruleset.Rule) string {
	var words []string
	for _, m := range r.Matches {
		if s, ok := m.(*ruleset.Set); ok {
			text := strings.Join(strings.Fields(r.File.Text(s.Where())), " ")
			if !strings.HasPrefix(text, "-m") {
				text = "-m set " + text
			}
			words = append(words, text)
		}
	}
	return strings.Join(words, " ") + " "
}

// bans are the rules of the chain that deny.
func (b *banCall) bans() []*ruleset.Rule {
	if b.chain == nil {
		return []*ruleset.Rule{b.rule}
	}
	var out []*ruleset.Rule
	for _, r := range b.chain.Rules {
		if classOf(r) == denies {
			out = append(out, r)
		}
	}
	return out
}

// banCalls gives the calls of a table, in order.
func (p *Pass) banCalls(t *ruleset.Table) []*banCall {
	if t == nil {
		return nil
	}
	var out []*banCall
	for _, c := range t.Chains {
		if o := p.Docker.OwnerOfChain(c); o == docker.Fail2ban || o == docker.CrowdSec {
			continue
		}
		for _, r := range c.Rules {
			if b := p.banCall(r); b != nil {
				out = append(out, b)
			}
		}
	}
	return out
}

// banCall says whether a rule is one; nil if it is not.
func (p *Pass) banCall(r *ruleset.Rule) *banCall {
	if to := r.Jump(); to != nil {
		switch o := p.Docker.OwnerOfChain(to); o {
		case docker.Fail2ban:
			return &banCall{rule: r, chain: to, owner: o, jail: jailName(to.Name)}
		case docker.CrowdSec:
			return &banCall{rule: r, chain: to, owner: o}
		}
		return nil
	}
	if classOf(r) != denies {
		return nil
	}
	for _, m := range r.Matches {
		s, ok := m.(*ruleset.Set)
		if !ok || s.Not || len(s.Dirs) == 0 || s.Dirs[0] != ruleset.Src {
			continue
		}
		switch {
		case strings.HasPrefix(s.Name, "f2b-"), strings.HasPrefix(s.Name, "fail2ban-"):
			return &banCall{rule: r, owner: docker.Fail2ban, jail: jailName(s.Name)}
		case strings.HasPrefix(s.Name, "crowdsec"):
			return &banCall{rule: r, owner: docker.CrowdSec}
		}
	}
	return nil
}

// jailName is the jail that a chain or set of fail2ban's is named after (action.d/iptables.conf: f2b-<name>, in old releases fail2ban-<name>).
func jailName(name string) string {
	return strings.TrimPrefix(strings.TrimPrefix(name, "f2b-"), "fail2ban-")
}

// sshJail says whether a jail is named after an ssh server.
func sshJail(name string) bool {
	name = strings.ToLower(name)
	return strings.Contains(name, "ssh") || strings.Contains(name, "dropbear")
}

// serviceJail says whether a jail is named after what people run in containers: web servers and applications, proxies, mail.
func serviceJail(name string) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc([]string{
		"nginx", "apache", "httpd", "http", "traefik", "caddy", "haproxy", "npm", "proxy", "web", "wordpress", "nextcloud", "owncloud",
		"vaultwarden", "bitwarden", "gitea", "forgejo", "gitlab", "grafana", "jellyfin", "emby", "plex", "authelia", "authentik", "keycloak",
		"portainer", "mastodon", "synapse", "mail", "postfix", "dovecot", "exim", "smtp", "imap", "pop3", "sogo", "roundcube", "sasl",
		"asterisk", "mysql", "mariadb", "postgres", "mongo", "docker", "home-assistant", "homeassistant", "hass",
	}, func(s string) bool { return strings.Contains(name, s) })
}

// A banGate is a call of bans that forwarded packets come to, and which of them do.
type banGate struct {
	call *banCall
	hits packet.Set
	// early says that it stands before DNAT.
	early bool
}

// banGates are the calls that strangers' connections to published ports come to on their way, in all tables.
func (p *Pass) banGates(v *View) []banGate {
	var out []banGate
	for _, rs := range v.Sets {
		for _, t := range rs.Tables {
			if t.Name == "nat" {
				continue
			}
			for _, b := range p.banCalls(t) {
				hooks := Hooks(b.rule.Chain)
				early := slices.Contains(hooks, "PREROUTING")
				if !early && !slices.Contains(hooks, "FORWARD") {
					continue
				}
				if hits := v.exposed().flow.Hits(b.rule); !hits.IsEmpty() {
					if early {
						// What it drops there is not among what comes to DNAT; ports and addresses tell.
						hits = hits.ForgetOpaque(hits.OpaqueVars()...).Keep(packet.FieldIn, packet.FieldDst, packet.FieldProto, packet.FieldDPort)
					}
					out = append(out, banGate{b, hits, early})
				}
			}
		}
	}
	return out
}

// banned says whether packets for a published port come to bans on their way to the container, other than by one call.
func banned(v *View, gates []banGate, f *forward, but *ruleset.Rule) bool {
	for _, g := range gates {
		if g.call.rule == but {
			continue
		}
		if g.early && g.hits.Overlaps(f.asked) || !g.early && g.hits.Overlaps(towards(v, f.pub)) {
			return true
		}
	}
	return false
}

// bannedBy are the packets of a flow's losses that fall to the bans of a call.
func (b *banCall) bannedBy(e *exposure, none packet.Set) packet.Set {
	set := none
	for _, l := range e.losses {
		if l.Rule != nil && (l.Rule == b.rule || l.Rule.Chain == b.chain) {
			set = set.Union(l.Set)
		}
	}
	return set
}
