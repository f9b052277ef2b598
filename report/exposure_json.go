package report

import (
	"encoding/json"
	"io"
	"net/netip"

	"github.com/dfwlint/dfwlint/exposure"
	"github.com/dfwlint/dfwlint/netfilter"
)

// exposureVersion is that of the JSON form; it changes when a key changes its meaning or goes away.
const exposureVersion = 1

type exposureJSON struct {
	Version  int            `json:"version"`
	Tool     exposureTool   `json:"tool"`
	Families []string       `json:"families"`
	Entries  []exposureItem `json:"entries"`
	Notes    []string       `json:"notes"`
	Assumed  []string       `json:"assumptions"`
}

type exposureTool struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

type exposureItem struct {
	Kind   exposure.Kind `json:"kind"`
	Family string        `json:"family"`
	Proto  string        `json:"proto"`
	Ports  []spanJSON    `json:"ports"`
	// Reachable says that an answer comes back on some way.
	Reachable bool            `json:"reachable"`
	Published *publishedJSON  `json:"published,omitempty"`
	Container *containerJSON  `json:"container,omitempty"`
	Listener  *listenerJSON   `json:"listener,omitempty"`
	Ways      []exposureWay   `json:"ways"`
	Closed    *exposureClosed `json:"closed,omitempty"`
}

type spanJSON struct {
	From uint16 `json:"from"`
	To   uint16 `json:"to"`
}

type publishedJSON struct {
	// Address is missing for any address of the host; Port for a port that is opened without NAT.
	Address string `json:"address,omitempty"`
	Port    uint16 `json:"port,omitempty"`
}

type containerJSON struct {
	Name    string `json:"name,omitempty"`
	Address string `json:"address,omitempty"`
	Network string `json:"network,omitempty"`
	Bridge  string `json:"bridge,omitempty"`
}

type listenerJSON struct {
	Process string `json:"process,omitempty"`
	Address string `json:"address,omitempty"`
}

type exposureWay struct {
	By exposure.Method `json:"by"`
	// To is missing for any address of the host.
	To           []string       `json:"to,omitempty"`
	Ports        []spanJSON     `json:"ports"`
	From         []sourceJSON   `json:"from"`
	Certain      bool           `json:"certain"`
	If           []string       `json:"if,omitempty"`
	Answered     bool           `json:"answered"`
	Why          string         `json:"why,omitempty"`
	SameLinkOnly bool           `json:"same_link_only,omitempty"`
	Rules        []*DeciderJSON `json:"rules"`
	Packet       *PacketObject  `json:"packet,omitempty"`
	// Walked says that the packet's way was followed rule by rule.
	Walked bool `json:"walked"`
}

type sourceJSON struct {
	// Interfaces is missing for all that lead outside.
	Interfaces []string `json:"interfaces,omitempty"`
	Anywhere   bool     `json:"anywhere"`
	Prefixes   []string `json:"prefixes,omitempty"`
	Except     []string `json:"except,omitempty"`
}

type exposureClosed struct {
	Verdict   string       `json:"verdict"`
	DecidedBy *DeciderJSON `json:"decided_by,omitempty"`
	Note      string       `json:"note,omitempty"`
	Packet    PacketObject `json:"packet"`
}

// ExposureJSON writes the table for programs.
func ExposureJSON(w io.Writer, t *exposure.Table, o ExposureOptions) error {
	out := exposureJSON{
		Version: exposureVersion, Tool: exposureTool{"dfwlint", o.Version}, Families: append([]string{}, t.Families...),
		Entries: []exposureItem{}, Notes: append([]string{}, t.Notes...), Assumed: append([]string{}, t.Assumptions...),
	}
	for _, e := range t.Entries {
		if len(e.Ways) > 0 || !o.Open {
			out.Entries = append(out.Entries, exposureEntry(e, o))
		}
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(out)
}

func exposureEntry(e *exposure.Entry, o ExposureOptions) exposureItem {
	item := exposureItem{Kind: e.Kind, Family: "IPv4", Proto: protoName(e.Proto), Ports: spansJSON(e.Ports), Ways: []exposureWay{}}
	if e.V6 {
		item.Family = "IPv6"
	}
	if e.Kind == exposure.Published {
		item.Published = &publishedJSON{addrText(e.HostIP), e.HostPort}
	}
	if e.Kind != exposure.Host && (e.Container != "" || e.Addr.IsValid() || e.Bridge != "") {
		item.Container = &containerJSON{Name: e.Container, Network: e.Network, Bridge: e.Bridge}
		if e.Addr.IsValid() {
			item.Container.Address = prefixText(e.Addr)
		}
	}
	if e.Heard {
		item.Listener = &listenerJSON{e.Listener, addrText(e.HostIP)}
	}
	for _, w := range e.Ways {
		item.Reachable = item.Reachable || !w.Silent
		j := exposureWay{
			By: w.By, To: prefixTexts(w.To), Ports: spansJSON(w.Ports), Certain: len(w.If) == 0 && !w.Doubted, If: w.If, Answered: !w.Silent, Why: w.Why,
			SameLinkOnly: w.Link, Rules: []*DeciderJSON{}, Walked: !w.Unproved,
		}
		if w.Packet.Dst.IsValid() {
			p := NewPacketObject(&w.Packet)
			j.Packet = &p
		}
		for _, s := range w.From {
			j.From = append(j.From, sourceJSON{s.Ifaces, s.Anywhere, prefixTexts(s.Prefixes), prefixTexts(s.Except)})
		}
		for i := range w.Steps {
			j.Rules = append(j.Rules, deciderOf(&w.Steps[i], o))
		}
		item.Ways = append(item.Ways, j)
	}
	if c := e.Closed; c != nil {
		item.Closed = &exposureClosed{Verdict: c.Verdict.String(), Note: c.Note, Packet: NewPacketObject(&c.In)}
		if c.Decided != nil {
			item.Closed.DecidedBy = deciderOf(c.Decided, o)
		}
	}
	return item
}

// deciderOf describes the rule or policy of a step.
func deciderOf(s *netfilter.Step, o ExposureOptions) *DeciderJSON {
	j := &DeciderJSON{Table: s.Chain.Table.Name, Chain: s.Chain.Name}
	file := s.Chain.File
	if s.Rule != nil {
		file = s.Rule.File
		j.Rule, j.Line = s.Rule.Index, s.Rule.Line()
	} else {
		j.Policy, j.Line = true, s.Chain.Line
	}
	if o.Name != nil && file != nil {
		j.File = o.Name(file)
	}
	return j
}

func spansJSON(list []exposure.Span) []spanJSON {
	out := make([]spanJSON, 0, len(list))
	for _, s := range list {
		out = append(out, spanJSON{s.Lo, s.Hi})
	}
	return out
}

func prefixTexts(list []netip.Prefix) []string {
	var out []string
	for _, p := range list {
		out = append(out, prefixText(p))
	}
	return out
}

func prefixText(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}
