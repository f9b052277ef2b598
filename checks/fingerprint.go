package checks

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"regexp"
	"strings"

	"github.com/dfwlint/dfwlint/docker"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/ruleset"
)

// fingerprint gives each finding its fingerprint: the first 16 hexadecimal digits of SHA-256 over check, table,
// chain and identity, and a number that tells equal ones of a run apart. Neither lines nor messages nor counters are in it.
func fingerprint(found []*Finding) {
	seen := map[string]int{}
	for _, f := range found {
		h := identityHash(f)
		seen[h]++
		f.Fingerprint = fmt.Sprintf("%s:%d", h, seen[h])
	}
}

// fingerprintGroups gives those findings that stand for several a fingerprint of their own: that of the first would say that it is
// known as one.
func fingerprintGroups(found []*Finding) {
	var groups []*Finding
	for _, f := range found {
		if f.Group != "" && strings.HasPrefix(f.Identity, groupIdentity) {
			groups = append(groups, f)
		}
	}
	fingerprint(groups)
}

func identityHash(f *Finding) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{f.Check.ID, f.Primary.Table, f.Primary.Chain, f.Identity}, "\x00")))
	return hex.EncodeToString(sum[:8])
}

var (
	bridgeName = regexp.MustCompile(`\bbr-[0-9a-f]{12}\b`)
	address    = regexp.MustCompile(`[0-9a-fA-F:.]*[0-9a-fA-F](/[0-9]+)?`)
)

// RuleIdentity is a rule's text without counters and without what Docker assigns anew: the names of its bridges, and addresses in
// their networks.
func (p *Pass) RuleIdentity(r *ruleset.Rule) string {
	text := bridgeName.ReplaceAllString(r.Key(), "br-*")
	return address.ReplaceAllStringFunc(text, func(w string) string {
		if !strings.ContainsAny(w, ".:") {
			return w
		}
		if pre, err := netip.ParsePrefix(w); err == nil {
			if p.Docker.BridgeOf(pre.Addr()) == nil {
				return w
			}
			if pre.IsSingleIP() {
				return "container"
			}
			return "network"
		}
		if ap, err := netip.ParseAddrPort(w); err == nil && p.Docker.BridgeOf(ap.Addr()) != nil {
			return fmt.Sprintf("container:%d", ap.Port())
		}
		if a, err := netip.ParseAddr(w); err == nil && p.Docker.BridgeOf(a) != nil {
			return "container"
		}
		return w
	})
}

// publishedName is a published port in docker's spelling, without the container.
func publishedName(pub *docker.Published) string {
	port := fmt.Sprint(pub.HostPort.Lo)
	if pub.HostPort.Hi > pub.HostPort.Lo {
		port = fmt.Sprintf("%d-%d", pub.HostPort.Lo, pub.HostPort.Hi)
	}
	host := ""
	if pub.HostIP.IsValid() {
		host = pub.HostIP.String() + ":"
		if pub.HostIP.Is6() {
			host = "[" + pub.HostIP.String() + "]:"
		}
	}
	return host + port + "/" + packet.ProtoName(pub.Proto)
}
