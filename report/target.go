package report

import (
	"strings"

	"github.com/dfwlint/dfwlint/ruleset"
)

// TargetName is the word after -j or -g, as the trace contract gives it: "DNAT", "ACCEPT", the name of a chain; empty for
// a rule without a target.
func TargetName(r *ruleset.Rule) string {
	switch t := r.Target.(type) {
	case nil:
		return ""
	case *ruleset.Jump:
		return t.Chain.Name
	case *ruleset.Accept:
		return "ACCEPT"
	case *ruleset.Drop:
		return "DROP"
	case *ruleset.Return:
		return "RETURN"
	case *ruleset.Reject:
		return "REJECT"
	case *ruleset.DNAT:
		return "DNAT"
	case *ruleset.SNAT:
		return "SNAT"
	case *ruleset.Masquerade:
		return "MASQUERADE"
	case *ruleset.Redirect:
		return "REDIRECT"
	case *ruleset.Netmap:
		return "NETMAP"
	case *ruleset.SetMark:
		return "MARK"
	case *ruleset.ConnMark:
		return "CONNMARK"
	case *ruleset.DSCP:
		return "DSCP"
	case *ruleset.TOS:
		return "TOS"
	case *ruleset.SetTarget:
		return "SET"
	case *ruleset.Log:
		return t.Name
	case *ruleset.Side:
		return t.Name
	case *ruleset.UnknownTarget:
		return t.Name
	}
	// CT, NOTRACK, TTL, HL, QUEUE and NFQUEUE go by several names: the rule's own words tell.
	return wordAfterJump(r)
}

func wordAfterJump(r *ruleset.Rule) string {
	at := r.Target.Where()
	if r.File == nil || at.Len() == 0 || int(at.End) > len(r.File.Src) {
		return ""
	}
	words := strings.Fields(r.File.Src[at.Start:at.End])
	if len(words) > 1 && strings.HasPrefix(words[0], "-") {
		return strings.Trim(words[1], `"`)
	}
	return ""
}
