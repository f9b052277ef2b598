package referee

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// nflog listens to the groups of the host's sink (linux/netfilter/nfnetlink_log.h).
type nflog struct {
	fd  int
	buf []byte
}

// A logged packet.
type logged struct {
	group   uint16
	in, out int
	mark    uint32
	prefix  string
	payload []byte
}

// Message types and attributes of nfnetlink_log.
const (
	msgPacket = unix.NFNL_SUBSYS_ULOG << 8
	msgConfig = unix.NFNL_SUBSYS_ULOG<<8 | 1

	cfgCmd, cfgMode, cfgQThresh = 1, 2, 5
	cmdBind                     = 1
	copyPacket                  = 2

	attrMark, attrIn, attrOut, attrPayload, attrPrefix = 2, 4, 5, 9, 10
)

func openNFLog() (*nflog, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, fmt.Errorf("open nflog: %w", err)
	}
	l := &nflog{fd: fd, buf: make([]byte, 1<<17)}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		l.close()
		return nil, fmt.Errorf("bind nflog: %w", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20); err != nil {
		l.close()
		return nil, fmt.Errorf("nflog buffer: %w", err)
	}
	for _, group := range []uint16{groupInput, groupPostrouting, groupReply} {
		if err := l.bind(group); err != nil {
			l.close()
			return nil, fmt.Errorf("bind nflog group %d: %w", group, err)
		}
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func (l *nflog) close() {
	if l != nil && l.fd >= 0 {
		unix.Close(l.fd)
		l.fd = -1
	}
}

// bind asks for whole packets of the group, each at once.
func (l *nflog) bind(group uint16) error {
	be := binary.BigEndian
	if err := l.configure(group, attr(cfgCmd, []byte{cmdBind})); err != nil {
		return err
	}
	mode := append(be.AppendUint32(nil, 0xffff), copyPacket, 0)
	if err := l.configure(group, attr(cfgMode, mode)); err != nil {
		return err
	}
	return l.configure(group, attr(cfgQThresh, be.AppendUint32(nil, 1)))
}

func (l *nflog) configure(group uint16, attrs []byte) error {
	body := append([]byte{unix.AF_UNSPEC, 0, byte(group >> 8), byte(group)}, attrs...)
	msg := make([]byte, unix.NLMSG_HDRLEN, unix.NLMSG_HDRLEN+len(body))
	ne := binary.NativeEndian
	ne.PutUint32(msg[0:], uint32(unix.NLMSG_HDRLEN+len(body)))
	ne.PutUint16(msg[4:], msgConfig)
	ne.PutUint16(msg[6:], unix.NLM_F_REQUEST|unix.NLM_F_ACK)
	msg = append(msg, body...)
	if err := unix.Sendto(l.fd, msg, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	for {
		n, _, err := unix.Recvfrom(l.fd, l.buf, 0)
		if err != nil {
			return err
		}
		if n >= unix.NLMSG_HDRLEN+4 && ne.Uint16(l.buf[4:]) == unix.NLMSG_ERROR {
			if code := int32(ne.Uint32(l.buf[unix.NLMSG_HDRLEN:])); code != 0 {
				return unix.Errno(-code)
			}
			return nil
		}
	}
}

func attr(kind uint16, value []byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(value)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(b, value...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

// attributes calls f with each attribute.
func attributes(b []byte, f func(kind uint16, value []byte)) {
	for len(b) >= 4 {
		n := int(binary.NativeEndian.Uint16(b))
		if n < 4 || n > len(b) {
			return
		}
		f(binary.NativeEndian.Uint16(b[2:])&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER), b[4:n])
		b = b[min(len(b), (n+3)&^3):]
	}
}

// drain reads all that is there.
func (l *nflog) drain() ([]logged, error) {
	var out []logged
	for {
		n, _, err := unix.Recvfrom(l.fd, l.buf, unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return out, nil
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return out, fmt.Errorf("read nflog: %w", err)
		}
		for b := l.buf[:n]; len(b) >= unix.NLMSG_HDRLEN; {
			size := int(binary.NativeEndian.Uint32(b))
			if size < unix.NLMSG_HDRLEN || size > len(b) {
				break
			}
			if binary.NativeEndian.Uint16(b[4:]) == msgPacket && size >= unix.NLMSG_HDRLEN+4 {
				out = append(out, parseLogged(b[unix.NLMSG_HDRLEN:size]))
			}
			b = b[min(len(b), (size+3)&^3):]
		}
	}
}

func parseLogged(b []byte) logged {
	be := binary.BigEndian
	g := logged{group: be.Uint16(b[2:])}
	attributes(b[4:], func(kind uint16, v []byte) {
		switch {
		case kind == attrMark && len(v) == 4:
			g.mark = be.Uint32(v)
		case kind == attrIn && len(v) == 4:
			g.in = int(be.Uint32(v))
		case kind == attrOut && len(v) == 4:
			g.out = int(be.Uint32(v))
		case kind == attrPrefix:
			g.prefix = strings.TrimRight(string(v), "\x00")
		case kind == attrPayload:
			g.payload = append([]byte(nil), v...)
		}
	})
	return g
}
