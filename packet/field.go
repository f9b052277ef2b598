package packet

import "slices"

// A Field is one thing that a packet set can say about a packet.
type Field uint8

// The fields. Their numbers are not the order of their variables: see fieldOrder. The bits of the two marks alternate, so that
// equality of marks, which CONNMARK makes, is small. After the fields come the opaque variables.
const (
	FieldOut       Field = iota // interface class of the output interface
	FieldState                  // a State
	FieldDir                    // a Dir
	FieldStatus                 // 6 bits, a Status
	FieldDstType                // address class of the current destination, AddrUnicast and following
	FieldSrcType                // address class of the current source
	FieldProto                  // 8 bits
	FieldSrc                    // current source
	FieldOrigSrc                // source of the original tuple
	FieldDst                    // current destination: 32 or 128 bits
	FieldOrigDst                // destination of the original tuple
	FieldDPort                  // 16 bits
	FieldOrigDPort              // destination port of the original tuple
	FieldSPort                  // 16 bits
	FieldOrigSPort              // source port of the original tuple
	FieldIn                     // interface class of the input interface
	FieldICMPType               // 8 bits
	FieldICMPCode               // 8 bits
	FieldTCPFlags               // 8 bits
	FieldFragment               // 1 for second and further fragments
	FieldMark                   // 32 bits
	FieldCTMark                 // 32 bits
	FieldLength                 // 16 bits, bytes of the whole IP packet
	FieldTTL                    // 8 bits
	FieldDSCP                   // 6 bits
	FieldECN                    // 2 bits

	numFields
)

// NumFields is the number of fields: every Field is below it.
const NumFields = int(numFields)

// The address classes of FieldDstType and FieldSrcType: what the host's local routing table says of an address.
const (
	AddrUnicast = iota
	AddrLocal
	AddrBroadcast
	AddrMulticast
	AddrOther

	numAddrTypes
)

const numStates = uint64(Untracked) + 1

var fieldNames = [numFields]string{
	"out", "state", "dir", "status", "dsttype", "srctype", "proto", "src", "origsrc", "dst", "origdst", "dport", "origdport", "sport", "origsport", "in", "icmp-type", "icmp-code", "tcp-flags", "fragment", "mark", "ctmark", "length", "ttl", "dscp", "ecn",
}

func (f Field) String() string {
	if f < numFields {
		return fieldNames[f]
	}
	return "field?"
}

// IsAddr says whether the field holds an address.
func (f Field) IsAddr() bool {
	switch f {
	case FieldDst, FieldOrigDst, FieldSrc, FieldOrigSrc:
		return true
	}
	return false
}

// A fieldInfo is a field's place in one space.
type fieldInfo struct {
	width int
	// values is the number of values where it is not 1<<width. Codes from values-1 up then all mean the last value,
	// so that every assignment of the variables is a well-formed packet.
	values uint64
	// levels of the field's variables, most significant bit first.
	levels []int32
}

// canonical gives the value that a code means.
func (fi *fieldInfo) canonical(v u128) u128 {
	if fi.values != 0 && (v.hi != 0 || v.lo >= fi.values) {
		return u64(fi.values - 1)
	}
	return v
}

// top is the highest of the field's levels and last the lowest.
func (fi *fieldInfo) top() int32  { return fi.levels[0] }
func (fi *fieldInfo) last() int32 { return fi.levels[len(fi.levels)-1] }

// A place is what a level stands for: a bit of a field, counted from the least significant one.
type place struct {
	field Field
	bit   uint8
}

func layout(v6, sourcesFirst bool, ifaceClasses int) (fields [numFields]fieldInfo, at []place) {
	addr := 32
	if v6 {
		addr = 128
	}
	for f := range numFields {
		fi := &fields[f]
		switch f {
		case FieldIn, FieldOut:
			fi.values = uint64(ifaceClasses)
		case FieldState:
			fi.values = numStates
		case FieldDstType, FieldSrcType:
			fi.values = numAddrTypes
		case FieldDst, FieldOrigDst, FieldSrc, FieldOrigSrc:
			fi.width = addr
		case FieldDPort, FieldOrigDPort, FieldSPort, FieldOrigSPort, FieldLength:
			fi.width = 16
		case FieldMark, FieldCTMark:
			fi.width = 32
		case FieldDir, FieldFragment:
			fi.width = 1
		case FieldStatus, FieldDSCP:
			fi.width = 6
		case FieldECN:
			fi.width = 2
		default:
			fi.width = 8
		}
		if fi.values != 0 {
			fi.width = max(1, u64(fi.values-1).bitLen())
		}
	}
	add := func(f Field, bit int) {
		fields[f].levels = append(fields[f].levels, int32(len(at)))
		at = append(at, place{f, uint8(bit)})
	}
	for _, f := range fieldOrder(sourcesFirst) {
		for i := fields[f].width - 1; i >= 0; i-- {
			add(f, i)
			if f == FieldMark {
				add(FieldCTMark, i)
			}
		}
	}
	return fields, at
}

// fieldOrder is the order of the fields' variables, each most significant bit first; FieldCTMark goes with FieldMark. What nearly
// every rule leaves alone, or all of them ask in the same way, comes first: there a condition costs its own nodes and not a copy of
// the set above them. What rules dispatch on follows. Current and original addresses and ports are neighbours, so that moving one
// into the other is a linear rename, and the original is above: behind DNAT it falls into a few classes, such as the host's own
// addresses, while there are as many new addresses as rules, each with a copy of what is below it. For the same reason sources come first
// where rules tell packets apart by their destinations: what is said of all sources alike then stands above them once.
func fieldOrder(sourcesFirst bool) []Field {
	ends := []Field{FieldOrigDst, FieldDst, FieldOrigSrc, FieldSrc, FieldOrigDPort, FieldDPort, FieldOrigSPort, FieldSPort}
	if sourcesFirst {
		ends = []Field{FieldOrigSrc, FieldSrc, FieldOrigDst, FieldDst, FieldOrigDPort, FieldDPort, FieldOrigSPort, FieldSPort}
	}
	return slices.Concat(
		[]Field{FieldTTL, FieldDSCP, FieldECN, FieldLength, FieldOut, FieldState, FieldDir, FieldStatus, FieldDstType, FieldSrcType, FieldProto},
		ends,
		[]Field{FieldIn, FieldICMPType, FieldICMPCode, FieldTCPFlags, FieldFragment, FieldMark},
	)
}
