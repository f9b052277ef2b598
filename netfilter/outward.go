package netfilter

import "github.com/dfwlint/dfwlint/packet"

// Outward walks packets that the host itself sends through the tables of OUTPUT alone, as if nat did not touch them: what the host's own
// policy says about what it may send. FieldIn must be none; FieldOut says where they leave.
func (s *Symbolic) Outward(set packet.Set) *Flow {
	p := Part{Set: set.Intersect(s.addressTypes(true)).Intersect(s.addressTypes(false)), view: plain}
	f := s.newFlow(p.Set)
	for _, t := range []string{"raw", "mangle", "filter", "security"} {
		p = f.throughAll(Output, t, p)
	}
	if !p.Set.IsEmpty() {
		f.Forwarded = append(f.Forwarded, p)
	}
	return f
}
