package referee

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// A tap sends and receives whole frames on an endpoint's interface. It sees a frame before anything in the endpoint's kernel can drop it.
type tap struct {
	fd    int
	index int
	buf   []byte
}

// Ethernet types; pulseType is one of those for local experiments.
const (
	typeIPv4  = 0x0800
	typeIPv6  = 0x86dd
	pulseType = 0x88b5
)

func htons(v int) uint16 {
	return binary.NativeEndian.Uint16([]byte{byte(v >> 8), byte(v)})
}

// openTap must run in the endpoint's namespace.
func openTap(iface string, protocol int) (*tap, error) {
	i, err := net.InterfaceByName(iface)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open a packet socket: %w", err)
	}
	t := &tap{fd: fd, index: i.Index, buf: make([]byte, 1<<16)}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: htons(protocol), Ifindex: i.Index}); err != nil {
		t.close()
		return nil, fmt.Errorf("bind a packet socket: %w", err)
	}
	return t, nil
}

func (t *tap) close() {
	if t != nil && t.fd >= 0 {
		unix.Close(t.fd)
		t.fd = -1
	}
}

func (t *tap) send(frame []byte) error {
	for {
		err := unix.Sendto(t.fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: t.index})
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// A frame that a tap received.
type frame struct {
	etherType int
	// other says that it was not addressed to the endpoint.
	other   bool
	payload []byte
}

// drain reads all frames that are there, without those that the tap itself sent.
func (t *tap) drain() ([]frame, error) {
	var out []frame
	for {
		n, from, err := unix.Recvfrom(t.fd, t.buf, unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return out, nil
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return out, fmt.Errorf("read a packet socket: %w", err)
		}
		ll, ok := from.(*unix.SockaddrLinklayer)
		if !ok || ll.Pkttype == unix.PACKET_OUTGOING || n < 14 {
			continue
		}
		out = append(out, frame{
			etherType: int(binary.BigEndian.Uint16(t.buf[12:])), other: ll.Pkttype == unix.PACKET_OTHERHOST,
			payload: append([]byte(nil), t.buf[14:n]...),
		})
	}
}

// A pulse is a frame that no protocol takes: when the host has received it, the host has also done with all that was sent before.
type pulse struct {
	from  *tap
	fd    int
	frame []byte
	count uint32
}

func (p *pulse) close() {
	if p.fd >= 0 {
		unix.Close(p.fd)
		p.fd = -1
	}
}

// open must run in the host's namespace.
func (p *pulse) open(iface string) error {
	t, err := openTap(iface, pulseType)
	if err != nil {
		return err
	}
	p.fd = t.fd
	return nil
}

// wait sends a pulse from an endpoint and waits until the host has it.
func (p *pulse) wait() error {
	p.count++
	f := append(append([]byte(nil), p.frame...), make([]byte, 46)...)
	binary.BigEndian.PutUint32(f[14:], p.count)
	if err := p.from.send(f); err != nil {
		return fmt.Errorf("send a pulse: %w", err)
	}
	var buf [128]byte
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); {
		n, _, err := unix.Recvfrom(p.fd, buf[:], unix.MSG_DONTWAIT)
		if err == nil {
			if n >= 18 && binary.BigEndian.Uint32(buf[14:]) == p.count {
				return nil
			}
			continue
		}
		if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("receive a pulse: %w", err)
		}
		fds := []unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, 100); err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
	}
	return errors.New("a pulse did not reach the host within 5 seconds")
}
