package referee

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/dfwlint/dfwlint/packet"
)

// Options of a lab.
type Options struct {
	// BridgeNF is the value of net.bridge.bridge-nf-call-iptables and its twin for IPv6.
	BridgeNF bool
	// Hairpin sets hairpin_mode on the containers' bridge ports, as Docker does without its userland proxy.
	Hairpin bool
	// StrictTCP sets net.netfilter.nf_conntrack_tcp_loose to 0: a TCP packet without SYN that belongs to no
	// connection is then INVALID, not NEW.
	StrictTCP bool
	// RouteLocalnet sets net.ipv4.conf.all.route_localnet.
	RouteLocalnet bool
	// Stateless leaves conntrack out of a quiet lab unless a rule asks for it, and with it the reassembly of fragments. Sightings then
	// have no State.
	Stateless bool
}

// A Lab is a Docker-like host and its neighbours, each in a network namespace of its own. Its methods may be called from
// several goroutines; packets are sent one after the other.
type Lab struct {
	// Options are those that it was made with.
	Options Options

	ns     [nodes]netns.NsHandle
	host   *netlink.Handle
	index  map[string]int
	names  map[int]string
	tmp    string
	driver *driver
	taps   [nodes]*tap
	raw    map[rawKey]int
	pulse  pulse
	log    *nflog
	quiet  bool
	lastID uint16
	mu     sync.Mutex
	closed sync.Once
}

// EnvKernel is the environment variable that makes kernel tests run. Where it is "1", a lab that does not come up is a failure.
const EnvKernel = "DFWLINT_KERNEL"

// Start makes a lab for a test and takes it down at the test's end. Without [EnvKernel] the test is skipped.
func Start(tb testing.TB, o Options) *Lab {
	tb.Helper()
	if os.Getenv(EnvKernel) != "1" {
		tb.Skipf("needs root and Linux network namespaces: set %s=1 to run it", EnvKernel)
	}
	l, err := New(o)
	if err != nil {
		tb.Fatalf("the kernel lab does not come up: %v", err)
	}
	tb.Cleanup(l.Close)
	return l
}

// Tools that the lab runs.
func requiredTools() []string {
	return []string{
		"iptables-legacy-restore", "iptables-legacy-save", "iptables-nft-restore", "iptables-nft-save",
		"ip6tables-legacy-restore", "ip6tables-legacy-save", "ip6tables-nft-restore", "ip6tables-nft-save", "ipset", "nft", "ip",
	}
}

// New makes a lab. It needs root, and the programs iptables, ipset, nft and ip. The lab starts quiet (see [Lab.SetQuiet]), without
// any rule in the tables of iptables.
func New(o Options) (*Lab, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("network namespaces need root")
	}
	for _, t := range requiredTools() {
		if _, err := exec.LookPath(t); err != nil {
			return nil, err
		}
	}
	l := &Lab{Options: o, index: map[string]int{}, names: map[int]string{}, raw: map[rawKey]int{}, pulse: pulse{fd: -1}}
	for i := range l.ns {
		l.ns[i] = netns.None()
	}
	if err := l.build(); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

func (l *Lab) build() error {
	var err error
	if l.tmp, err = os.MkdirTemp("", "dfwlint-lab-"); err != nil {
		return err
	}
	for n := range l.ns {
		if l.ns[n], err = newNamespace(); err != nil {
			return fmt.Errorf("make a network namespace: %w", err)
		}
	}
	if l.host, err = netlink.NewHandleAt(l.ns[Host], unix.NETLINK_ROUTE, unix.NETLINK_NETFILTER); err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	if err := l.wire(); err != nil {
		return err
	}
	if err := within(l.ns[Host], func() error { l.log, err = openNFLog(); return err }); err != nil {
		return err
	}
	if l.driver, err = startDriver(); err != nil {
		return err
	}
	if err := l.openSockets(); err != nil {
		return err
	}
	if err := l.SetQuiet(true); err != nil {
		return err
	}
	return l.ready()
}

// ready waits until a packet gets from the host to every endpoint and back: the kernel brings up links and bridge ports on a thread of its own.
func (l *Lab) ready() error {
	end := time.Now().Add(10 * time.Second)
	for _, f := range []Family{V4, V6} {
		for _, n := range Endpoints() {
			for _, way := range [][2]Node{{Host, n}, {n, Host}} {
				for {
					o, err := l.Send(way[0], RawPacket{Dst: way[1].Addr(f), Proto: packet.UDP, SPort: 9, DPort: 9})
					if err != nil {
						return err
					}
					if len(o.Delivered) == 1 && o.Delivered[0].Node == way[1] {
						break
					}
					if time.Now().After(end) {
						return fmt.Errorf("no %s packet gets from %s to %s: %+v", f, way[0], way[1], o)
					}
					time.Sleep(time.Millisecond)
				}
			}
		}
	}
	return l.FlushConntrack()
}

// Close takes the lab down.
func (l *Lab) Close() {
	l.closed.Do(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.driver != nil {
			l.driver.stop()
		}
		for _, fd := range l.raw {
			unix.Close(fd)
		}
		for _, t := range l.taps {
			t.close()
		}
		l.pulse.close()
		l.log.close()
		if l.host != nil {
			l.host.Close()
		}
		for _, ns := range l.ns {
			if ns.IsOpen() {
				ns.Close()
			}
		}
		if l.tmp != "" {
			os.RemoveAll(l.tmp)
		}
	})
}

// Do runs f on a thread that is in the node's namespace. Goroutines that f starts are not.
func (l *Lab) Do(n Node, f func() error) error { return within(l.ns[n], f) }

// lockFile is the lock of legacy iptables, so that the lab does not wait for anybody else's.
func (l *Lab) lockFile() string { return filepath.Join(l.tmp, "xtables.lock") }
