package packet

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// wire is the trace contract's packet object in the order in which it is printed.
type wire struct {
	In            string  `json:"in,omitempty"`
	Out           string  `json:"out,omitempty"`
	FromContainer string  `json:"from_container,omitempty"`
	Src           string  `json:"src,omitempty"`
	Dst           string  `json:"dst,omitempty"`
	Proto         string  `json:"proto,omitempty"`
	SPort         *uint16 `json:"sport,omitempty"`
	DPort         *uint16 `json:"dport,omitempty"`
	TCPFlags      *string `json:"tcp_flags,omitempty"`
	State         *string `json:"state,omitempty"`
	Mark          *uint32 `json:"mark,omitempty"`
	CTMark        *uint32 `json:"ctmark,omitempty"`
	TTL           *uint8  `json:"ttl,omitempty"`
	DSCP          *uint8  `json:"dscp,omitempty"`
	ECN           *uint8  `json:"ecn,omitempty"`
	Length        *uint16 `json:"length,omitempty"`
	ICMPType      *uint8  `json:"icmp_type,omitempty"`
	ICMPCode      *uint8  `json:"icmp_code,omitempty"`
	Fragment      *bool   `json:"fragment,omitempty"`
	CTDir         *string `json:"ctdir,omitempty"`
	CTStatus      *string `json:"ctstatus,omitempty"`
}

// keys are those of wire.
func keys() []string {
	return []string{
		"in", "out", "from_container", "src", "dst", "proto", "sport", "dport", "tcp_flags", "state", "mark", "ctmark",
		"ttl", "dscp", "ecn", "length", "icmp_type", "icmp_code", "fragment", "ctdir", "ctstatus",
	}
}

// MarshalJSON prints the trace contract's object: ports, flags and ICMP type only for packets that have them; connection
// mark, ECN, fragment and connection status only where they are not zero. Connection tuples are not part of it.
func (p Packet) MarshalJSON() ([]byte, error) {
	r := Request{
		In: p.In, Out: p.Out, Src: p.Src, Dst: p.Dst,
		State: &p.State, Dir: &p.Dir, Mark: &p.Mark, TTL: &p.TTL, DSCP: &p.DSCP, Length: &p.Length,
	}
	if p.Proto != 0 {
		r.Proto = &p.Proto
	}
	if p.HasPorts() {
		r.SPort, r.DPort = &p.SPort, &p.DPort
	}
	if p.HasTCPFlags() {
		r.TCPFlags = &p.TCPFlags
	}
	if p.HasICMP() {
		r.ICMPType, r.ICMPCode = &p.ICMPType, &p.ICMPCode
	}
	if p.Fragment {
		r.Fragment = &p.Fragment
	}
	if p.CTMark != 0 {
		r.CTMark = &p.CTMark
	}
	if p.ECN != 0 {
		r.ECN = &p.ECN
	}
	if p.Status != 0 {
		r.Status = &p.Status
	}
	return r.MarshalJSON()
}

// UnmarshalJSON reads what MarshalJSON prints, as strictly as [Request.UnmarshalJSON]; what is missing is zero.
func (p *Packet) UnmarshalJSON(data []byte) error {
	var r Request
	if err := r.UnmarshalJSON(data); err != nil {
		return err
	}
	if r.FromContainer != "" {
		return errors.New("from_container: a packet has addresses, not containers")
	}
	*p = Packet{
		In: r.In, Out: r.Out, Src: r.Src, Dst: r.Dst, Proto: or(r.Proto, 0), SPort: or(r.SPort, 0), DPort: or(r.DPort, 0),
		ICMPType: or(r.ICMPType, 0), ICMPCode: or(r.ICMPCode, 0), TCPFlags: or(r.TCPFlags, 0), Fragment: or(r.Fragment, false),
		Length: or(r.Length, 0), TTL: or(r.TTL, 0), DSCP: or(r.DSCP, 0), ECN: or(r.ECN, 0),
		Mark: or(r.Mark, 0), CTMark: or(r.CTMark, 0), State: or(r.State, New), Status: or(r.Status, 0), Dir: or(r.Dir, Original),
	}
	return nil
}

// MarshalJSON prints the keys that are given.
func (r Request) MarshalJSON() ([]byte, error) {
	w := wire{
		In: r.In, Out: r.Out, FromContainer: r.FromContainer, SPort: r.SPort, DPort: r.DPort, Mark: r.Mark, CTMark: r.CTMark,
		TTL: r.TTL, DSCP: r.DSCP, ECN: r.ECN, Length: r.Length, ICMPType: r.ICMPType, ICMPCode: r.ICMPCode, Fragment: r.Fragment,
	}
	if r.Src.IsValid() {
		w.Src = r.Src.String()
	}
	if r.Dst.IsValid() {
		w.Dst = r.Dst.String()
	}
	if r.Proto != nil {
		w.Proto = ProtoName(*r.Proto)
	}
	if r.TCPFlags != nil {
		w.TCPFlags = new(FlagsString(*r.TCPFlags))
	}
	if r.State != nil {
		w.State = new(r.State.String())
	}
	if r.Dir != nil {
		w.CTDir = new(r.Dir.String())
	}
	if r.Status != nil {
		w.CTStatus = new(r.Status.String())
	}
	return json.Marshal(w)
}

// UnmarshalJSON reads the trace contract's "In" object. Keys must be known; null means missing; numbers may also be
// written as text, with 0x where hexadecimal; protocols are names or numbers.
func (r *Request) UnmarshalJSON(data []byte) error {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) {
			return fmt.Errorf("a packet is a JSON object, not %s", wrong.Value)
		}
		return err
	}
	*r = Request{}
	names := make([]string, 0, len(raw))
	for k := range raw {
		names = append(names, k)
	}
	slices.Sort(names)
	for _, k := range names {
		if string(bytes.TrimSpace(raw[k])) == "null" {
			continue
		}
		if err := r.read(k, raw[k]); err != nil {
			return err
		}
	}
	if r.Src.IsValid() && r.Dst.IsValid() && r.Src.Is4() != r.Dst.Is4() {
		return fmt.Errorf("src %v and dst %v are of different families", r.Src, r.Dst)
	}
	return nil
}

func (r *Request) read(key string, raw json.RawMessage) (err error) {
	switch key {
	case "in":
		r.In, err = text(raw)
	case "out":
		r.Out, err = text(raw)
	case "from_container":
		r.FromContainer, err = text(raw)
	case "src":
		r.Src, err = address(raw)
	case "dst":
		r.Dst, err = address(raw)
	case "proto":
		r.Proto, err = protoOf(raw)
	case "sport":
		r.SPort, err = integer[uint16](raw, 16)
	case "dport":
		r.DPort, err = integer[uint16](raw, 16)
	case "tcp_flags":
		r.TCPFlags, err = named(raw, ParseFlags)
	case "state":
		r.State, err = named(raw, ParseState)
	case "mark":
		r.Mark, err = integer[uint32](raw, 32)
	case "ctmark":
		r.CTMark, err = integer[uint32](raw, 32)
	case "ttl":
		r.TTL, err = integer[uint8](raw, 8)
	case "dscp":
		r.DSCP, err = integer[uint8](raw, 6)
	case "ecn":
		r.ECN, err = integer[uint8](raw, 2)
	case "length":
		r.Length, err = integer[uint16](raw, 16)
	case "icmp_type":
		r.ICMPType, err = integer[uint8](raw, 8)
	case "icmp_code":
		r.ICMPCode, err = integer[uint8](raw, 8)
	case "fragment":
		var v bool
		if json.Unmarshal(raw, &v) != nil {
			err = errors.New("must be true or false")
		}
		r.Fragment = &v
	case "ctdir":
		r.Dir, err = named(raw, ParseDir)
	case "ctstatus":
		r.Status, err = named(raw, ParseStatus)
	default:
		return unknownKey(key)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	return nil
}

func text(raw json.RawMessage) (string, error) {
	var v string
	if json.Unmarshal(raw, &v) != nil {
		return "", fmt.Errorf("%s must be text in quotes", raw)
	}
	return v, nil
}

func address(raw json.RawMessage) (netip.Addr, error) {
	v, err := text(raw)
	if err != nil {
		return netip.Addr{}, err
	}
	a, err := netip.ParseAddr(v)
	switch {
	case err == nil && a.Zone() == "":
		return a.Unmap(), nil
	case strings.Contains(v, "/"):
		return netip.Addr{}, fmt.Errorf("%q is a network; a packet has a single address", v)
	}
	return netip.Addr{}, fmt.Errorf("%q is not an IPv4 or IPv6 address", v)
}

func protoOf(raw json.RawMessage) (*uint8, error) {
	v, err := text(raw)
	if err != nil {
		v = string(raw)
	}
	p, err := ParseProto(v)
	return &p, err
}

func integer[T uint8 | uint16 | uint32](raw json.RawMessage, bits int) (*T, error) {
	v, err := text(raw)
	if err != nil {
		v = string(raw)
	}
	n, err := strconv.ParseUint(v, 0, 64)
	if err != nil || n >= 1<<bits {
		return nil, fmt.Errorf("%s is not a number from 0 to %d", raw, uint64(1)<<bits-1)
	}
	return new(T(n)), nil
}

func named[T any](raw json.RawMessage, parse func(string) (T, error)) (*T, error) {
	v, err := text(raw)
	if err != nil {
		return nil, err
	}
	x, err := parse(v)
	if err != nil {
		return nil, err
	}
	return &x, nil
}

func unknownKey(key string) error {
	best, distance := "", 3
	for _, k := range keys() {
		if d := edits(key, k); d < distance {
			best, distance = k, d
		}
	}
	if best != "" {
		return fmt.Errorf("unknown key %q; did you mean %q?", key, best)
	}
	return fmt.Errorf("unknown key %q; known are %s", key, strings.Join(keys(), ", "))
}

// edits is the number of letters to add, drop or change between two words.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
