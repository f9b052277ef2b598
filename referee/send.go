package referee

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/dfwlint/dfwlint/packet"
)

// A Sighting is a packet at the end of its way.
type Sighting struct {
	// Node is where it arrived.
	Node Node
	// Iface is the host's interface: the one that it left by, or where it was delivered to the host itself, the one that it came in on.
	Iface string
	// Packet is its header as it arrived.
	Packet RawPacket
	// Mark is the packet's mark, known where it was delivered to the host and where it left the host's POSTROUTING.
	Mark uint32
	// State and Dir are conntrack's view, known where Mark is.
	State packet.State
	Dir   packet.Dir
	// NotForUs says that the frame was for another endpoint of the bridge.
	NotForUs bool
}

// Observed is what became of a packet.
type Observed struct {
	// ID is what the packet was known by.
	ID uint16
	// Delivered is where it arrived: at an endpoint, or at the host's sockets behind INPUT. Empty means that it was dropped.
	Delivered []Sighting
	// Left is what passed the last of the host's POSTROUTING, with marks, before any link.
	Left []Sighting
	// Replies are packets that the host's kernel made meanwhile: resets and ICMP errors of REJECT rules or of routing. No rule ever
	// sees them and they are never sent.
	Replies []RawPacket
	// Strays are packets that arrived and are not the one that was sent.
	Strays []Sighting
	// Refused is the error that the sending socket of the host got: EPERM where an OUTPUT rule dropped, ENETUNREACH and its kind where
	// there is no route.
	Refused error
}

// rawKey names a raw socket of the host by the family and owner.
type rawKey struct {
	family Family
	uid    uint32
}

func (l *Lab) openSockets() error {
	for _, n := range Endpoints() {
		err := within(l.ns[n], func() error {
			var err error
			l.taps[n], err = openTap(Eth0, unix.ETH_P_ALL)
			return err
		})
		if err != nil {
			return err
		}
	}
	l.pulse.from = l.taps[Outside]
	l.pulse.frame = ethernet(Outside.nextHopMAC(), Outside.mac(), pulseType)
	return within(l.ns[Host], func() error { return l.pulse.open(Eth0) })
}

func ethernet(dst, src net.HardwareAddr, kind int) []byte {
	return append(append(append([]byte(nil), dst...), src...), byte(kind>>8), byte(kind))
}

// Send lets a node send a packet and tells what became of it. From an endpoint it goes straight onto the link, past the endpoint's own kernel; from
// the host it goes through a raw socket and OUTPUT. The lab must be quiet.
func (l *Lab) Send(from Node, p RawPacket) (Observed, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.quiet {
		return Observed{}, errors.New("Send needs a quiet lab")
	}
	var o Observed
	err := l.driver.do(func() error {
		var err error
		o, err = l.send(from, p)
		return err
	})
	return o, err
}

func (l *Lab) send(from Node, p RawPacket) (Observed, error) {
	// What an earlier packet left behind, an ICMP error after a timeout say, is nobody's.
	if _, err := l.collect(0); err != nil {
		return Observed{}, err
	}
	if l.lastID++; l.lastID == 0 {
		l.lastID = 1
	}
	p.ID = l.lastID
	if !p.Src.IsValid() {
		p.Src = from.source(p.Dst)
	}
	b, err := p.Marshal()
	if err != nil {
		return Observed{}, err
	}
	var refused error
	if from == Host {
		refused, err = l.sendFromHost(&p, b)
	} else {
		kind := typeIPv4
		if p.V6() {
			kind = typeIPv6
		}
		err = l.taps[from].send(append(ethernet(p.frameDst(from), from.mac(), kind), b...))
	}
	if err != nil {
		return Observed{}, fmt.Errorf("send from %s: %w", from, err)
	}
	// The first pulse waits for the host, the second for the links behind it.
	for range 2 {
		if err := l.pulse.wait(); err != nil {
			return Observed{}, err
		}
	}
	o, err := l.collect(p.ID)
	o.Refused = refused
	return o, err
}

// source is the address that the node uses towards a destination.
func (n Node) source(dst netip.Addr) netip.Addr {
	f := V4
	if dst.Is6() {
		f = V6
	}
	if n != Host {
		return n.Addr(f)
	}
	if dst.IsLoopback() {
		return dst
	}
	for _, a := range hostPrefixes(f) {
		if a.prefix.Addr() == dst {
			return dst
		}
	}
	for _, a := range hostPrefixes(f) {
		if a.prefix.Contains(dst) {
			return a.prefix.Addr()
		}
	}
	return Host.Addr(f)
}

// frameDst is the link address that the packet goes to.
func (p *RawPacket) frameDst(from Node) net.HardwareAddr {
	all := net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	switch {
	case p.Cast == ToHost:
		return from.nextHopMAC()
	case p.Cast == ToBroadcast:
		return all
	case p.Dst.IsMulticast() && p.V6():
		a := p.Dst.As16()
		return net.HardwareAddr{0x33, 0x33, a[12], a[13], a[14], a[15]}
	case p.Dst.IsMulticast():
		a := p.Dst.As4()
		return net.HardwareAddr{1, 0, 0x5e, a[1] & 0x7f, a[2], a[3]}
	case isBroadcast(from, p.Dst):
		return all
	}
	f := V4
	if p.V6() {
		f = V6
	}
	for _, n := range Endpoints() {
		if n != from && n.Iface() == from.Iface() && n.Addr(f) == p.Dst {
			return n.mac()
		}
	}
	return from.nextHopMAC()
}

// isBroadcast says whether the address is a broadcast address of the node's network.
func isBroadcast(from Node, a netip.Addr) bool {
	if !a.Is4() {
		return false
	}
	if a == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return true
	}
	for _, h := range hostPrefixes(V4) {
		if last, ok := netip.AddrFromSlice(broadcast(h.prefix)); ok && h.iface == from.Iface() && last == a {
			return true
		}
	}
	return false
}

// sendFromHost sends through a raw socket of the packet's owner. refused is what the kernel's path said of the packet.
func (l *Lab) sendFromHost(p *RawPacket, b []byte) (refused, err error) {
	f := V4
	if p.V6() {
		f = V6
	}
	fd, err := l.rawSocket(rawKey{f, p.UID})
	if err != nil {
		return nil, err
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, int(p.Mark)); err != nil {
		return nil, fmt.Errorf("set the mark of a socket: %w", err)
	}
	var to unix.Sockaddr = &unix.SockaddrInet4{Addr: [4]byte(p.Dst.AsSlice()[:4])}
	if f == V6 {
		to = &unix.SockaddrInet6{Addr: p.Dst.As16()}
	}
	for {
		err := unix.Sendto(fd, b, 0, to)
		if !errors.Is(err, unix.EINTR) {
			return err, nil
		}
	}
}

// rawSocket gives the host's raw socket of the family and owner.
func (l *Lab) rawSocket(k rawKey) (int, error) {
	if fd, ok := l.raw[k]; ok {
		return fd, nil
	}
	fd := -1
	err := within(l.ns[Host], func() error {
		// A socket's owner for -m owner is the file system identity of the thread that made it (net/netfilter/xt_owner.c).
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := setOwner(int(k.uid)); err != nil {
			return err
		}
		defer setOwner(0)
		domain := unix.AF_INET
		if k.family == V6 {
			domain = unix.AF_INET6
		}
		var err error
		fd, err = unix.Socket(domain, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		return err
	})
	if err != nil {
		return -1, fmt.Errorf("open a raw socket for user %d: %w", k.uid, err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PRIORITY, sendPriority); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("set the priority of a socket: %w", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BROADCAST, 1); err != nil {
		unix.Close(fd)
		return -1, err
	}
	l.raw[k] = fd
	return fd, nil
}

func setOwner(id int) error {
	if err := unix.Setfsgid(id); err != nil {
		return err
	}
	return unix.Setfsuid(id)
}

// collect reads all taps and logs; id tells the packet from strays.
func (l *Lab) collect(id uint16) (Observed, error) {
	o := Observed{ID: id}
	logs, err := l.log.drain()
	if err != nil {
		return o, err
	}
	for _, g := range logs {
		p, err := Unmarshal(g.payload)
		if err != nil {
			return o, err
		}
		s := Sighting{Node: Host, Packet: p, Mark: g.mark, Iface: l.names[g.in]}
		if g.group != groupReply {
			if _, err := fmt.Sscan(g.prefix, &s.State, &s.Dir); err != nil {
				return o, fmt.Errorf("log prefix %q: %w", g.prefix, err)
			}
		}
		switch {
		case g.group == groupReply:
			if !housekeeping(&p) {
				o.Replies = append(o.Replies, p)
			}
		case p.ID != id:
			o.Strays = append(o.Strays, s)
		case g.group == groupInput:
			o.Delivered = append(o.Delivered, s)
		case g.group == groupPostrouting:
			s.Iface = l.names[g.out]
			o.Left = append(o.Left, s)
		}
	}
	for _, n := range Endpoints() {
		frames, err := l.taps[n].drain()
		if err != nil {
			return o, err
		}
		for _, f := range frames {
			if f.etherType != typeIPv4 && f.etherType != typeIPv6 {
				continue
			}
			p, err := Unmarshal(f.payload)
			if err != nil {
				return o, err
			}
			s := Sighting{Node: n, Iface: n.Iface(), Packet: p, NotForUs: f.other}
			if p.ID == id {
				o.Delivered = append(o.Delivered, s)
			} else {
				o.Strays = append(o.Strays, s)
			}
		}
	}
	return o, nil
}

// housekeeping says whether the packet is one of neighbour or listener discovery, which a kernel sends when it likes.
func housekeeping(p *RawPacket) bool {
	if p.V6() && p.Proto == 0 {
		return true // hop-by-hop options: a listener report
	}
	return p.Proto == packet.IGMP || p.Proto == packet.ICMPv6 && (p.ICMPType >= 130 && p.ICMPType <= 137 || p.ICMPType == 143)
}
