package referee

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/dfwlint/dfwlint/packet"
)

// A Connection is what conntrack knows of one.
type Connection struct {
	Mark        uint32
	Status      packet.Status
	Orig, Reply packet.Tuple
}

// Message and attributes of conntrack's netlink family (linux/netfilter/nfnetlink_conntrack.h).
const (
	ctGet = 1

	ctaTupleOrig, ctaTupleReply = 1, 2
	ctaStatus, ctaMark          = 3, 8
)

// Connections lists the host's confirmed connections of a family.
func (l *Lab) Connections(f Family) ([]Connection, error) {
	family := uint8(unix.AF_INET)
	if f == V6 {
		family = unix.AF_INET6
	}
	var out []Connection
	err := within(l.ns[Host], func() error {
		req := nl.NewNetlinkRequest(unix.NFNL_SUBSYS_CTNETLINK<<8|ctGet, unix.NLM_F_DUMP)
		req.AddData(&nl.Nfgenmsg{NfgenFamily: family, Version: nl.NFNETLINK_V0})
		messages, err := req.Execute(unix.NETLINK_NETFILTER, 0)
		if err != nil {
			return fmt.Errorf("list connections: %w", err)
		}
		for _, m := range messages {
			if len(m) < 4 {
				continue
			}
			var c Connection
			c.parse(m[4:])
			out = append(out, c)
		}
		return nil
	})
	return out, err
}

func (c *Connection) parse(b []byte) {
	be := binary.BigEndian
	attributes(b, func(kind uint16, v []byte) {
		switch {
		case kind == ctaMark && len(v) == 4:
			c.Mark = be.Uint32(v)
		case kind == ctaStatus && len(v) == 4:
			c.Status = status(be.Uint32(v))
		case kind == ctaTupleOrig:
			c.Orig = parseTuple(v)
		case kind == ctaTupleReply:
			c.Reply = parseTuple(v)
		}
	})
}

// status translates enum ip_conntrack_status.
func status(v uint32) packet.Status {
	var s packet.Status
	for bit, is := range map[uint32]packet.Status{
		1 << 0: packet.Expected, 1 << 1: packet.SeenReply, 1 << 2: packet.Assured, 1 << 3: packet.Confirmed,
		1 << 4: packet.SNATed, 1 << 5: packet.DNATed,
	} {
		if v&bit != 0 {
			s |= is
		}
	}
	return s
}

// parseTuple reads a CTA_TUPLE_* attribute.
func parseTuple(b []byte) packet.Tuple {
	var t packet.Tuple
	be := binary.BigEndian
	attributes(b, func(kind uint16, v []byte) {
		attributes(v, func(sub uint16, w []byte) {
			switch {
			case kind == 1 && (sub == 1 || sub == 3): // CTA_IP_V4_SRC, CTA_IP_V6_SRC
				t.Src, _ = netip.AddrFromSlice(w)
			case kind == 1 && (sub == 2 || sub == 4):
				t.Dst, _ = netip.AddrFromSlice(w)
			case kind == 2 && sub == 1 && len(w) == 1: // CTA_PROTO_NUM
				t.Proto = w[0]
			case kind == 2 && sub == 2 && len(w) == 2: // CTA_PROTO_SRC_PORT
				t.SPort = be.Uint16(w)
			case kind == 2 && sub == 3 && len(w) == 2:
				t.DPort = be.Uint16(w)
			}
		})
	})
	return t
}
