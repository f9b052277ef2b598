package docker

// A role names what a rule of Docker's is for.
type role uint8

const (
	roleNone role = iota
	roleJumpUser
	roleJumpForward
	roleJumpStage1
	roleJumpIsolation
	roleJumpIngress
	roleJumpOverlay
	roleJumpInternal
	roleJumpCT
	roleJumpBridge
	roleForwardCT
	roleForwardDocker
	roleEgress    // -i br ! -o br -j ACCEPT
	roleEgressAll // -i br -j ACCEPT
	roleICCAccept
	roleICCDrop
	roleSetCT
	roleSetDocker
	roleSubnetPair
	rolePort
	roleLink
	roleDefaultDrop
	roleDefaultAccept
	roleICMP
	roleND
	roleFwMark
	roleCT
	roleBridge
	roleInternalIn
	roleInternalOut
	roleStage1
	roleStage2
	roleRoutedCT
	roleRoutedReturn
	rolePair
	roleReturn
	roleUserReturn
	roleIngressPort
	roleIngressReply
	roleIngressReplyState
	roleOverlayIn
	roleOverlayMark
	roleNatJump
	roleNatJumpOut
	roleNatJumpHairpin
	roleNatJumpIngress
	roleMasquerade
	roleMasqueradeOld
	roleHairpinMasq
	roleSelfMasq
	roleNatReturn
	roleDNAT
	roleWSLReturn
	roleIngressDNAT
	roleRawContainer
	roleRawPort
	roleRawTrusted
	roleRawLoop
	roleRawWSL
	roleChecksum
	roleResolver
)

// A proof is how well a rule shows that the interface it names is a bridge of Docker's.
type proof uint8

const (
	proofNone   proof = iota
	proofShared       // stands in a chain that everybody writes to
	proofOwned        // stands in a chain of Docker's
	proofStrong       // and has a shape that nobody would write for another interface
)

// A template is one kind of rule that Docker writes. A rule fits if it has all of must, any of opt, nothing else, and the target.
type template struct {
	role    role
	eras    eras
	family  uint8 // 4 or 6; 0 for both
	table   string
	chains  []chainID
	must    feature
	opt     []feature
	targets []targetKind
	jump    chainID
	proof   proof
}

var (
	accept     = []targetKind{tAccept}
	drop       = []targetKind{tDrop}
	ret        = []targetKind{tReturn}
	jump       = []targetKind{tJump}
	dnat       = []targetKind{tDNAT}
	masquerade = []targetKind{tMasquerade}
	masqOrSNAT = []targetKind{tMasquerade, tSNAT}
	forward    = []chainID{chForward}
	forwardD   = []chainID{chForwardD}
	docker     = []chainID{chDocker}
	ingress    = []chainID{chIngress}
	prerouting = []chainID{chPrerouting}
	postroute  = []chainID{chPostrouting}
	output     = []chainID{chOutput}
	isolating  = []chainID{chIsolation, chStage1, chInternal}
)

// templates are all kinds of rules that Docker has written, by table and chain. What a template cannot say (that an
// interface is a bridge of Docker's, that DNAT and ACCEPT belong together) is checked afterwards.
// Source: moby's libnetwork/drivers/bridge, overlay and service_linux.go, tags 1.4 to 29.7; dumps of real daemons.
var templates = []template{
	// filter FORWARD: the jumps.
	{roleJumpUser, upTo(E3, E7), 0, "filter", forward, 0, nil, jump, chUser, 0},
	{roleJumpForward, eras67, 0, "filter", forward, 0, nil, jump, chForwardD, 0},
	{roleJumpStage1, upTo(E4, E5), 0, "filter", forward, 0, nil, jump, chStage1, 0},
	{roleJumpIsolation, upTo(E2, E3), 0, "filter", forward, 0, nil, jump, chIsolation, 0},
	{roleJumpIngress, upTo(E2, E5), 0, "filter", forward, 0, nil, jump, chIngress, 0},
	{roleJumpOverlay, upTo(E1, E4), 0, "filter", []chainID{chForward, chOutput}, 0, nil, jump, chOverlay, 0},
	// filter FORWARD: a network's block of rules.
	{roleForwardCT, upTo(E0, E4), 0, "filter", forward, out | established, nil, accept, 0, proofShared},
	{roleForwardDocker, upTo(E1, E4), 0, "filter", forward, out, nil, jump, chDocker, proofStrong},
	{roleEgress, upTo(E0, E5), 0, "filter", forward, in | notOut | same, nil, accept, 0, proofShared},
	{roleICCAccept, upTo(E0, E5), 0, "filter", forward, in | out | same, nil, accept, 0, proofShared},
	{roleICCDrop, upTo(E0, E5), 0, "filter", forward, in | out | same, nil, drop, 0, proofShared},
	{roleEgressAll, E5.set(), 0, "filter", forward, in, nil, accept, 0, proofShared},
	{roleSetCT, E5.set(), 0, "filter", forward, extBridges | established, nil, accept, 0, 0},
	{roleSetDocker, E5.set(), 0, "filter", forward, extBridges, nil, jump, chDocker, 0},
	{roleSubnetPair, E1.set(), 0, "filter", forward, srcNet | dstNet, nil, drop, 0, 0},
	{rolePort, E0.set(), 0, "filter", forward, dstIP | notIn | out | same | proto | dport, nil, accept, 0, proofShared},
	{roleLink, E0.set(), 0, "filter", forward, srcIP | dstIP | in | out | same | proto | dport, nil, accept, 0, proofShared},
	{roleLink, E0.set(), 0, "filter", forward, srcIP | dstIP | in | out | same | proto | sport, nil, accept, 0, proofShared},
	// filter DOCKER.
	{rolePort, upTo(E1, E7), 0, "filter", docker, dstIP | notIn | out | same | proto | dport, nil, accept, 0, proofOwned},
	{roleLink, upTo(E1, E7), 0, "filter", docker, srcIP | dstIP | in | out | same | proto | dport, nil, accept, 0, proofOwned},
	{roleLink, upTo(E1, E7), 0, "filter", docker, srcIP | dstIP | in | out | same | proto | sport, nil, accept, 0, proofOwned},
	{roleDefaultDrop, eras567, 0, "filter", docker, notIn | out | same, nil, drop, 0, proofStrong},
	{roleDefaultAccept, eras567, 0, "filter", docker, notIn | out | same, nil, accept, 0, proofOwned},
	{roleICMP, eras567, 0, "filter", docker, out | icmp, nil, accept, 0, proofOwned},
	{roleND, E7.set(), 6, "filter", docker, in | out | same | icmp | icmpND, nil, accept, 0, proofOwned},
	// filter DOCKER-FORWARD and the chains it calls.
	{roleJumpCT, eras67, 0, "filter", forwardD, 0, nil, jump, chCT, 0},
	{roleJumpInternal, E7.set(), 0, "filter", forwardD, 0, nil, jump, chInternal, 0},
	{roleJumpBridge, eras67, 0, "filter", forwardD, 0, nil, jump, chBridge, 0},
	{roleJumpStage1, eras6, 0, "filter", forwardD, 0, nil, jump, chStage1, 0},
	{roleJumpIngress, eras67, 0, "filter", forwardD, 0, nil, jump, chIngress, 0},
	{roleEgressAll, eras67, 0, "filter", forwardD, in, nil, accept, 0, proofOwned},
	{roleEgress, eras67, 0, "filter", forwardD, in | notOut | same, nil, accept, 0, proofOwned},
	{roleICCAccept, eras67, 0, "filter", forwardD, in | out | same, nil, accept, 0, proofOwned},
	{roleICCDrop, eras67, 0, "filter", forwardD, in | out | same, nil, drop, 0, proofOwned},
	// 28.0.1 moved the matches on the ipset from FORWARD; soon after, DOCKER-CT and DOCKER-BRIDGE replaced them (moby PR 49518).
	{roleSetCT, E6a.set(), 0, "filter", forwardD, extBridges | established, nil, accept, 0, 0},
	{roleSetDocker, E6a.set(), 0, "filter", forwardD, extBridges, nil, jump, chDocker, 0},
	{roleFwMark, E7.set(), 0, "filter", forwardD, mark, nil, accept, 0, 0},
	{roleCT, eras67, 0, "filter", []chainID{chCT}, out | established, nil, accept, 0, proofStrong},
	{roleBridge, eras67, 0, "filter", []chainID{chBridge}, out, nil, jump, chDocker, proofStrong},
	// filter: isolation.
	{roleInternalOut, upTo(E2, E7), 0, "filter", isolating, notSrcNet | out, nil, drop, 0, proofStrong},
	{roleInternalIn, upTo(E2, E7), 0, "filter", isolating, notDstNet | in, nil, drop, 0, proofStrong},
	{roleInternalOut, upTo(E4, E7), 6, "filter", isolating, notSrcNet | notIn | out | same, nil, drop, 0, proofStrong},
	{roleInternalIn, upTo(E4, E7), 6, "filter", isolating, notDstNet | in | notOut | same, nil, drop, 0, proofStrong},
	{roleStage1, upTo(E4, E6b), 0, "filter", []chainID{chStage1}, in | notOut | same, nil, jump, chStage2, proofStrong},
	{roleRoutedCT, upTo(E5, E6b), 0, "filter", []chainID{chStage1}, in | established, nil, accept, 0, proofOwned},
	{roleRoutedReturn, upTo(E5, E6b), 0, "filter", []chainID{chStage1}, out, nil, ret, 0, proofOwned},
	{roleStage2, upTo(E4, E6b), 0, "filter", []chainID{chStage2}, out, nil, drop, 0, proofStrong},
	{roleReturn, E4.set(), 0, "filter", []chainID{chStage1, chStage2}, 0, nil, ret, 0, 0},
	{rolePair, upTo(E2, E3), 0, "filter", []chainID{chIsolation}, in | out, nil, drop, 0, proofOwned},
	{roleReturn, upTo(E2, E3), 0, "filter", []chainID{chIsolation}, 0, nil, ret, 0, 0},
	{roleUserReturn, upTo(E3, E7), 0, "filter", []chainID{chUser}, 0, nil, ret, 0, 0},
	{roleReturn, upTo(E1, E4), 0, "filter", []chainID{chOverlay}, 0, nil, ret, 0, 0},
	// Swarm's ingress network.
	{roleIngressPort, upTo(E2, E7), 0, "filter", ingress, proto | dport, nil, accept, 0, 0},
	{roleIngressReply, upTo(E4, E7), 0, "filter", ingress, proto | sport | established, nil, accept, 0, 0},
	{roleIngressReplyState, upTo(E2, E4), 0, "filter", ingress, proto | sport | established0, nil, accept, 0, 0},
	{roleReturn, upTo(E2, E7), 0, "filter", ingress, 0, nil, ret, 0, 0},
	{roleIngressDNAT, upTo(E2, E7), 0, "nat", ingress, proto | dport, nil, dnat, 0, 0},
	{roleReturn, upTo(E2, E7), 0, "nat", ingress, 0, nil, ret, 0, 0},
	{roleNatJumpIngress, upTo(E2, E7), 0, "nat", []chainID{chPrerouting, chOutput}, dstLocal, nil, jump, chIngress, 0},
	// Encrypted overlay networks.
	{roleOverlayIn, upTo(E2, E7), 0, "filter", []chainID{chInput}, proto | dport | vni | policy, nil, []targetKind{tDrop, tAccept}, 0, 0},
	{roleOverlayIn, upTo(E2, E4), 0, "filter", []chainID{chInput}, proto | dport | vni, nil, drop, 0, 0},
	{roleOverlayMark, upTo(E2, E7), 0, "mangle", output, proto | dport | vni, nil, []targetKind{tMark}, 0, 0},
	// nat.
	{roleNatJump, anyEra, 0, "nat", prerouting, dstLocal, nil, jump, chDocker, 0},
	{roleNatJumpHairpin, anyEra, 0, "nat", output, dstLocal, nil, jump, chDocker, 0},
	{roleNatJumpOut, anyEra, 0, "nat", output, notDstLoop | dstLocal, nil, jump, chDocker, 0},
	{roleMasquerade, anyEra, 0, "nat", postroute, srcNet | notOut, nil, masqOrSNAT, 0, proofShared},
	{roleMasqueradeOld, E0.set(), 4, "nat", postroute, srcNet | notDstNet | sameAddr, nil, masquerade, 0, 0},
	{roleHairpinMasq, upTo(E1, E7), 0, "nat", postroute, out | srcLocal, nil, masqOrSNAT, 0, proofShared},
	{roleSelfMasq, anyEra, 0, "nat", postroute, srcIP | dstIP | sameAddr | proto | dport, nil, masquerade, 0, 0},
	{roleNatReturn, upTo(E2, E6b), 0, "nat", docker, in, nil, ret, 0, proofOwned},
	{roleDNAT, anyEra, 0, "nat", docker, proto | dport, []feature{notIn, dstIP}, dnat, 0, proofOwned},
	{roleDNAT, anyEra, 0, "nat", docker, proto | dport | dstLoop, []feature{notIn}, dnat, 0, proofOwned},
	{roleDNAT, eras567, 6, "nat", docker, proto | dport | notLinkSrc, []feature{notIn, dstIP}, dnat, 0, proofOwned},
	{roleDNAT, eras567, 6, "nat", docker, proto | dport | notLinkSrc | dstLoop, []feature{notIn}, dnat, 0, proofOwned},
	{roleWSLReturn, upTo(E4, E7), 4, "nat", docker, dstLoopNet | inWSL, nil, ret, 0, 0},
	// raw.
	{roleRawContainer, E6b.set() | E7.set(), 0, "raw", prerouting, dstIP | notIn, nil, drop, 0, proofShared},
	{roleRawPort, E5.set() | E6a.set(), 0, "raw", prerouting, dstIP | notIn | proto | dport, nil, drop, 0, proofShared},
	{roleRawTrusted, E6b.set() | E7.set(), 0, "raw", prerouting, dstIP | in, nil, accept, 0, 0},
	{roleRawLoop, eras567, 4, "raw", prerouting, dstLoop | notInLo | proto | dport, nil, drop, 0, 0},
	{roleRawWSL, eras567, 4, "raw", prerouting, dstLoop | inWSL | proto | dport, nil, accept, 0, 0},
	// sctp checksums.
	{roleChecksum, upTo(E2, E6b), 0, "mangle", postroute, proto | sport, nil, []targetKind{tChecksum}, 0, 0},
	// The resolver's rules in a container's own namespace (libnetwork/resolver_unix.go).
	{roleResolver, upTo(E2, E7), 4, "nat", output, dstLoop, nil, jump, chResolverOut, 0},
	{roleResolver, upTo(E2, E7), 4, "nat", postroute, dstLoop, nil, jump, chResolverPost, 0},
	{roleResolver, upTo(E2, E7), 4, "nat", []chainID{chResolverOut}, dstLoop | proto | dport, nil, dnat, 0, 0},
	{roleResolver, upTo(E2, E7), 4, "nat", []chainID{chResolverPost}, srcLoop | proto | sport, nil, []targetKind{tSNATPort}, 0, 0},
}

// A signature is what identifies a template: one look-up a rule, however many templates there are.
type signature struct {
	table  string
	chain  chainID
	has    feature
	target targetKind
	jump   chainID
}

// buildIndex spreads the templates out over the signatures that they stand for. Templates that share one differ in family.
func buildIndex() map[signature][]*template {
	idx := make(map[signature][]*template, 256)
	for i := range templates {
		t := &templates[i]
		for _, c := range t.chains {
			for _, target := range t.targets {
				for n := 0; n < 1<<len(t.opt); n++ {
					has := t.must
					for j, o := range t.opt {
						if n>>j&1 == 1 {
							has |= o
						}
					}
					sig := signature{t.table, c, has, target, t.jump}
					idx[sig] = append(idx[sig], t)
				}
			}
		}
	}
	return idx
}
