package referee

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// Result is the outcome of a probe.
type Result string

// The results: a connection or a UDP answer, a reset or an ICMP error, nothing at all.
const (
	Open    Result = "open"
	Refused Result = "refused"
	Timeout Result = "timeout"
)

// Patience is how long a probe waits before it says [Timeout]. It is longer than the second after which TCP sends its SYN again: an ICMP
// error that arrives while connect(2) still holds the socket is lost, and the next one tells (tcp_v6_err in net/ipv6/tcp_ipv6.c).
const Patience = 1500 * time.Millisecond

// Listen starts a server at a node that accepts every TCP connection, or answers every UDP packet, on a port of all its addresses. Close stops it.
func (l *Lab) Listen(n Node, network string, port uint16) (io.Closer, error) {
	var c io.Closer
	err := within(l.ns[n], func() error {
		addr := fmt.Sprintf(":%d", port)
		switch network {
		case "tcp":
			s, err := net.Listen("tcp", addr)
			if err != nil {
				return err
			}
			go acceptAll(s)
			c = s
		case "udp":
			s, err := net.ListenPacket("udp", addr)
			if err != nil {
				return err
			}
			go echoAll(s)
			c = s
		default:
			return fmt.Errorf("no server for %s", network)
		}
		return nil
	})
	return c, err
}

func acceptAll(s net.Listener) {
	for {
		c, err := s.Accept()
		if err != nil {
			return
		}
		c.Close()
	}
}

func echoAll(s net.PacketConn) {
	buf := make([]byte, 2048)
	for {
		n, from, err := s.ReadFrom(buf)
		if err != nil {
			return
		}
		// The client sees whether this arrives.
		_, _ = s.WriteTo(buf[:n], from)
	}
}

// Probe connects from a node, as a program there would, and tells what came of it. src may be the zero address. The lab must not be quiet. Probes may
// run at the same time.
func (l *Lab) Probe(from Node, network string, src, dst netip.Addr, port uint16) (Result, error) {
	l.mu.Lock()
	quiet := l.quiet
	l.mu.Unlock()
	if quiet {
		return "", errors.New("Probe needs a lab that is not quiet")
	}
	var r Result
	err := within(l.ns[from], func() error {
		var err error
		r, err = probe(network, src, netip.AddrPortFrom(dst, port))
		return err
	})
	return r, err
}

func probe(network string, src netip.Addr, dst netip.AddrPort) (Result, error) {
	d := net.Dialer{Timeout: Patience}
	switch {
	case !src.IsValid():
	case network == "tcp":
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(src, 0))
	default:
		d.LocalAddr = net.UDPAddrFromAddrPort(netip.AddrPortFrom(src, 0))
	}
	c, err := d.DialContext(context.Background(), network, dst.String())
	if err != nil {
		return outcome(err)
	}
	defer c.Close()
	if network == "tcp" {
		return Open, nil
	}
	if err := c.SetDeadline(time.Now().Add(Patience)); err != nil {
		return "", err
	}
	if _, err := c.Write([]byte("probe")); err != nil {
		return outcome(err)
	}
	if _, err := c.Read(make([]byte, 16)); err != nil {
		return outcome(err)
	}
	return Open, nil
}

func outcome(err error) (Result, error) {
	for _, e := range []error{unix.ECONNREFUSED, unix.ECONNRESET, unix.EHOSTUNREACH, unix.ENETUNREACH, unix.EACCES} {
		if errors.Is(err, e) {
			return Refused, nil
		}
	}
	// EPERM is what a local sender gets when OUTPUT drops its packet: nothing comes back.
	var t net.Error
	if errors.As(err, &t) && t.Timeout() || errors.Is(err, unix.EPERM) {
		return Timeout, nil
	}
	return "", err
}
