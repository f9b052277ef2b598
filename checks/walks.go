package checks

import (
	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
)

// longTraces is from how many rules on traces hold only the rules that matched: with all that were met, the proofs of a large dump would fill
// the memory.
const longTraces = 2000

// trace walks a packet.
func (v *View) trace(p packet.Packet, o netfilter.TraceOptions) *netfilter.Trace {
	o.Sparse = v.large()
	return v.Net.Trace(p, o)
}

// connect walks a packet and the answer to it.
func (v *View) connect(p packet.Packet, o netfilter.TraceOptions) *netfilter.Connection {
	o.Sparse = v.large()
	return v.Net.Connect(p, o)
}

func (v *View) large() bool {
	if v.rules == 0 {
		v.rules = 1
		for _, rs := range v.Sets {
			for range rs.AllRules() {
				v.rules++
			}
		}
	}
	return v.rules > longTraces
}
