package diff

import (
	"fmt"
	"strings"

	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
)

// maxElsewhere is how many groups of packets that other rules decide are told.
const maxElsewhere = 24

// elsewhere finds packets that fare the same by rules with other words, or in another chain.
func (c *comparison) elsewhere(p *pair, rest packet.Set, sender Sender) []*Change {
	type decision struct {
		text string
		sent packet.Set
		lets bool
	}
	gather := func(ds []netfilter.Decision, names *renaming) (out []decision, at map[string]int) {
		at = map[string]int{}
		for _, d := range ds {
			text := d.Chain.Table.Name + " " + d.Chain.Name + ": policy " + d.Chain.Policy.String()
			if d.Rule != nil {
				rule := uncommented(d.Rule)
				if names != nil {
					rule = names.canonical(d.Rule)
				}
				text = d.Chain.Table.Name + " " + strings.Join(strings.Fields(rule), " ")
			}
			sent := d.Sent
			if names != nil {
				sent = names.set(sent)
			}
			i, ok := at[text]
			if !ok {
				at[text] = len(out)
				out = append(out, decision{text, sent, d.Lets})
				continue
			}
			out[i].sent = out[i].sent.Union(sent)
		}
		return out, at
	}
	olds, oldAt := gather(c.old.Sym.Decisions(p.old), nil)
	news, newAt := gather(c.new.Sym.Decisions(p.new), c.names)
	var out []*Change
	for _, a := range olds {
		left := a.sent
		if i, ok := newAt[a.text]; ok {
			left = left.Minus(news[i].sent)
		}
		if left = left.Intersect(rest); left.IsEmpty() {
			continue
		}
		for _, b := range news {
			if b.lets != a.lets || b.text == a.text || len(out) == maxElsewhere {
				continue
			}
			at := left.Intersect(b.sent)
			if i, ok := oldAt[b.text]; ok {
				at = at.Minus(olds[i].sent)
			}
			if at.IsEmpty() {
				continue
			}
			ch := &Change{Kind: Elsewhere, V6: c.v6, Sender: sender, Set: at, size: at.Size(), rank: rankOf(Elsewhere, sender, 0)}
			ch.What = fmt.Sprintf("%s, now %s", a.text, b.text)
			ch.From = c.from(at, p.all, sender)
			c.witness(ch)
			out = append(out, ch)
		}
	}
	return out
}
