package referee

import "fmt"

// A Meter sends packets and says which counters each of them moved. It reads the counters once for each packet, so nobody else may
// send or load rules meanwhile.
type Meter struct {
	lab     *Lab
	backend Backend
	family  Family
	last    string
}

// Meter starts with the counters as they are. Make a new one after every [Lab.Load].
func (l *Lab) Meter(b Backend, f Family) (*Meter, error) {
	s, err := l.Save(b, f, true)
	if err != nil {
		return nil, err
	}
	return &Meter{lab: l, backend: b, family: f, last: s}, nil
}

// Send is [Lab.Send] with the counters that moved: rules that matched, and policies that decided. The packet of another family than the
// meter's is an error.
func (m *Meter) Send(from Node, p RawPacket) (Observed, map[Place]uint64, error) {
	if p.V6() != (m.family == V6) {
		return Observed{}, nil, fmt.Errorf("a packet to %s under a meter of %s", p.Dst, m.family)
	}
	o, err := m.lab.Send(from, p)
	if err != nil {
		return o, nil, err
	}
	moved, err := m.Moved()
	return o, moved, err
}

// Moved are the counters that have moved since they were last read.
func (m *Meter) Moved() (map[Place]uint64, error) {
	s, err := m.lab.Save(m.backend, m.family, true)
	if err != nil {
		return nil, err
	}
	moved, err := CounterDiff(m.last, s)
	m.last = s
	return moved, err
}
