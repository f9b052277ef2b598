package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/dfwlint/dfwlint/netfilter"
	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/report"
	"github.com/spf13/cobra"
)

const traceHelp = `Follow one packet through the rules, hook by hook, and say which rule decided.

A packet without --in is one that the host itself sends. What is not given is filled in: the source that the
kernel would choose, state NEW, a SYN for TCP, TTL 64. What the rules do not tell and the way rests on, such as
which addresses are the host's own, is listed as assumed; a --context with facts of the host makes it certain.

With --packets FILE each line is a packet as a JSON object, such as
{"in":"eth0","src":"198.51.100.7","dst":"192.0.2.1","proto":"tcp","dport":8080}, and each line of the output is
what became of it, as a JSON object.

Exit status: 0 the packet was followed, whatever became of it, 2 wrong usage, 3 input that could not be read or
was only partly understood.`

const traceExamples = `  dfwlint trace host.rules --in eth0 --src 198.51.100.7 --dst 192.0.2.1 --proto tcp --dport 8080
  dfwlint trace host.rules --connect --context facts/ --from-container web --dst 192.0.2.53 --proto udp --dport 53
  dfwlint trace host.rules host.v6.rules --packets packets.jsonl`

// packetFlags are the flags that describe a packet; each is a key of the trace contract.
func packetFlags() [][2]string {
	return [][2]string{
		{"in", "`INTERFACE` that it comes in on; without it the host itself sends it"},
		{"from-container", "`NAME` of the container that sends it, in place of --in and --src; needs --context"},
		{"src", "source `ADDRESS`"},
		{"dst", "destination `ADDRESS`"},
		{"proto", "`PROTOCOL`: a name or a number"},
		{"sport", "source `PORT`"},
		{"dport", "destination `PORT`"},
		{"tcp-flags", "TCP `FLAGS`, such as SYN,ACK"},
		{"icmp-type", "ICMP or ICMPv6 type, a `NUMBER`"},
		{"icmp-code", "ICMP or ICMPv6 code, a `NUMBER`"},
		{"state", "conntrack `STATE`: NEW, ESTABLISHED, RELATED, INVALID or UNTRACKED"},
		{"ctdir", "`DIRECTION` within the connection: ORIGINAL or REPLY"},
		{"ctstatus", "`STATUS` of the connection, such as ASSURED"},
		{"mark", "firewall `MARK`, such as 0x10"},
		{"ctmark", "connection's `MARK`"},
		{"ttl", "TTL or hop limit, a `NUMBER`"},
		{"dscp", "DSCP, a `NUMBER`"},
		{"ecn", "ECN, a `NUMBER`"},
		{"length", "length of the whole packet in `BYTES`"},
	}
}

type traceFlags struct {
	machineFlags
	packet   map[string]*string
	fragment bool
	connect  bool
	verbose  bool
	matched  bool
	packets  string
	format   string
	color    string
	width    int
}

func newTrace(c console) *cobra.Command {
	f := &traceFlags{packet: map[string]*string{}}
	cmd := &cobra.Command{
		Use:     "trace FILE... --dst ADDRESS",
		Short:   "Follow a packet through the rules",
		Long:    traceHelp,
		Example: traceExamples,
		Args:    cobra.ArbitraryArgs,
		RunE:    func(cmd *cobra.Command, args []string) error { return f.run(c, cmd, args) },
	}
	fl := cmd.Flags()
	fl.SortFlags = false
	for _, p := range packetFlags() {
		f.packet[p[0]] = fl.String(p[0], "", p[1])
	}
	fl.BoolVar(&f.fragment, "fragment", false, "it is a second or later fragment")
	fl.BoolVar(&f.connect, "connect", false, "also follow the answer: would a connection get one?")
	fl.StringVar(&f.packets, "packets", "", "`FILE` with a packet a line as JSON, - for standard input")
	f.machineFlags.register(cmd)
	fl.BoolVarP(&f.verbose, "verbose", "v", false, "also show the rules that did not match, and why")
	fl.BoolVar(&f.matched, "matched-only", false, "leave the rules that did not match out of JSON")
	fl.StringVarP(&f.format, "format", "f", "text", "`FORMAT` is text or json (json with --packets)")
	registerStyle(cmd, &f.color, &f.width)
	fixed(cmd, "format", "text", "json")
	fixed(cmd, "state", "NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED")
	fixed(cmd, "ctdir", "ORIGINAL", "REPLY")
	return cmd
}

func (f *traceFlags) run(c console, cmd *cobra.Command, args []string) error {
	stream := f.packets != ""
	if stream && !cmd.Flags().Changed("format") {
		f.format = "json"
	}
	if f.format != "text" && f.format != "json" {
		return fmt.Errorf("--format %q: use text or json", f.format)
	}
	if stream && f.packets == "-" && slices.Contains(args, "-") {
		return errors.New("standard input can be read once: give the rules or the packets as a file")
	}
	asked := f.asked(cmd)
	if stream && len(asked) > 0 {
		return errors.New("--packets tells the packets: do not give one by flags as well")
	}
	var request packet.Request
	if !stream {
		if len(asked) == 0 {
			return errors.New("no packet: give at least --dst, or --packets FILE (see dfwlint trace --help)")
		}
		if err := request.UnmarshalJSON(f.object(cmd)); err != nil {
			return fmt.Errorf("the packet: %w", err)
		}
		if !request.Dst.IsValid() {
			return errors.New("--dst is missing: a packet needs a destination")
		}
	}
	t := &tracing{connect: f.connect, object: report.TraceObjectOptions{MatchedOnly: f.matched}}
	if err := t.style(c, f); err != nil {
		return err
	}
	m, err := f.load(c, cmd, args)
	if err != nil {
		return err
	}
	t.machine = m
	t.object.Name = m.fileName
	if stream {
		return f.stream(c, t)
	}
	conn, err := t.follow(request)
	if err != nil {
		return err
	}
	if err := t.write(c.out, conn, f.format); err != nil {
		return fmt.Errorf("cannot write: %w", err)
	}
	return m.status()
}

// asked lists the packet's flags that were given.
func (f *traceFlags) asked(cmd *cobra.Command) []string {
	var out []string
	for name := range f.packet {
		if cmd.Flags().Changed(name) {
			out = append(out, name)
		}
	}
	if f.fragment {
		out = append(out, "fragment")
	}
	return out
}

// object makes the trace contract's object of the flags, so that both are read alike.
func (f *traceFlags) object(cmd *cobra.Command) []byte {
	object := map[string]any{}
	for name, value := range f.packet {
		if cmd.Flags().Changed(name) {
			object[strings.ReplaceAll(name, "-", "_")] = *value
		}
	}
	if f.fragment {
		object["fragment"] = true
	}
	data, err := json.Marshal(object)
	if err != nil {
		// A map of strings and a boolean can always be written.
		panic(err)
	}
	return data
}

// tracing is a run of the command.
type tracing struct {
	machine *machine
	connect bool
	text    report.TraceOptions
	object  report.TraceObjectOptions
}

func (t *tracing) style(c console, f *traceFlags) error {
	var err error
	t.text.Verbose = f.verbose
	if t.text.Color, err = c.color(f.color); err != nil {
		return err
	}
	t.text.Width, err = c.lineWidth(f.width)
	return err
}

// follow answers one request. Without --connect the connection has the request alone.
func (t *tracing) follow(r packet.Request) (*netfilter.Connection, error) {
	n, missing := t.machine.net(r.V6())
	p, assumptions, err := n.Packet(r)
	if missing != "" {
		assumptions = append([]string{missing}, assumptions...)
	}
	var unsent *netfilter.Unsent
	if errors.As(err, &unsent) {
		p = r.Packet()
		lost := &netfilter.Trace{In: p, Out: p, Verdict: netfilter.Drop, Note: unsent.Why, Assumptions: assumptions}
		return &netfilter.Connection{Request: lost, Result: netfilter.Silent, Note: unsent.Why}, nil
	}
	if err != nil {
		return nil, err
	}
	conn := &netfilter.Connection{}
	if t.connect {
		conn = n.Connect(p, netfilter.TraceOptions{})
	} else {
		conn.Request = n.Trace(p, netfilter.TraceOptions{})
	}
	conn.Request.Assumptions = slices.Concat(assumptions, conn.Request.Assumptions, untold(n, conn.Request))
	return conn, nil
}

// untold lists what a trace takes for granted and the context could tell.
func untold(n *netfilter.Net, tr *netfilter.Trace) []string {
	var out []string
	if tr.Path == netfilter.PathForward && tr.Out.Out != "" && tr.Out.Out != tr.In.In && !n.Env.ForwardingKnown {
		out = append(out, "the host forwards packets")
	}
	if f := n.Env.Facts; f != nil && f.Docker != nil && strings.HasPrefix(f.Docker.FirewallBackend, "nftables") {
		out = append(out, "Docker's own rules, which are nftables' and in no dump, let it pass as it is")
	}
	return out
}

func (t *tracing) write(w io.Writer, c *netfilter.Connection, format string) error {
	if format == "json" {
		return t.writeJSON(w, c)
	}
	o := t.text
	o.File = t.machine.onlyFile(c.Request.In.V6())
	if t.connect {
		return report.ConnectionText(w, c, o)
	}
	return report.TraceText(w, c.Request, o)
}

// writeJSON writes one line.
func (t *tracing) writeJSON(w io.Writer, c *netfilter.Connection) error {
	var object any
	if t.connect {
		object = report.NewConnectionObject(c, t.object)
	} else {
		object = report.NewTraceObject(c.Request, t.object)
	}
	return writeLine(w, object)
}

// writeLine writes an object as one line of JSON, with < and > as they are.
func writeLine(w io.Writer, object any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(object); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}
