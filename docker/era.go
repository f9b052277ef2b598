package docker

// An Era is a generation of Docker's rules: between two of them the chains or the templates changed.
// The boundaries are those of moby's release tags.
type Era uint8

// The eras.
const (
	EraUnknown Era = iota
	E0             // up to 1.5: chain DOCKER in nat only
	E1             // 1.6 to 1.9: chain DOCKER in filter too
	E2             // 1.10 to 17.05: DOCKER-ISOLATION
	E3             // 17.06 to 18.04, without 18.03.1: DOCKER-USER
	E4             // 18.03.1, 18.05 to 27: DOCKER-ISOLATION-STAGE-1 and -2
	E5             // 28.0.0: ipset matches
	E6a            // 28.0.1 to 28.1: DOCKER-FORWARD, a raw rule for each port
	E6b            // 28.2 to 28.5: a raw rule for each container
	E7             // 29: DOCKER-INTERNAL
)

func (e Era) String() string {
	return [...]string{"unknown", "E0", "E1", "E2", "E3", "E4", "E5", "E6a", "E6b", "E7"}[e]
}

// Releases says in words which releases of Docker an era is.
func (e Era) Releases() string {
	return [...]string{"an unknown release", "Docker 1.5 or older", "Docker 1.6 to 1.9", "Docker 1.10 to 17.05", "Docker 17.06 to 18.04",
		"Docker 18.03.1 to 27", "Docker 28.0.0", "Docker 28.0.1 to 28.1", "Docker 28.2 to 28.5", "Docker 29"}[e]
}

// first and last are the bounds of an era's releases; E7 is open.
func (e Era) first() string {
	return [...]string{"", "0.1.0", "1.6.0", "1.10.0", "17.06.0", "18.03.1", "28.0.0", "28.0.1", "28.2.0", "29.0.0"}[e]
}

func (e Era) last() string {
	return [...]string{"", "1.5.x", "1.9.x", "17.05.x", "18.04.x", "27.x", "28.0.0", "28.1.x", "28.5.x", ""}[e]
}

// eras is a set of eras.
type eras uint16

func (e Era) set() eras { return 1 << e }

// upTo is the set of all eras from one to another.
func upTo(from, to Era) eras {
	var s eras
	for e := from; e <= to; e++ {
		s |= e.set()
	}
	return s
}

func (s eras) newest() Era {
	for e := E7; e > EraUnknown; e-- {
		if s&e.set() != 0 {
			return e
		}
	}
	return EraUnknown
}

func (s eras) oldest() Era {
	for e := E0; e <= E7; e++ {
		if s&e.set() != 0 {
			return e
		}
	}
	return EraUnknown
}

func (s eras) list() []Era {
	var l []Era
	for e := E0; e <= E7; e++ {
		if s&e.set() != 0 {
			l = append(l, e)
		}
	}
	return l
}

const (
	anyEra  = eras(1<<E0 | 1<<E1 | 1<<E2 | 1<<E3 | 1<<E4 | 1<<E5 | 1<<E6a | 1<<E6b | 1<<E7)
	eras6   = eras(1<<E6a | 1<<E6b)
	eras67  = eras6 | eras(1<<E7)
	eras567 = eras67 | eras(1<<E5)
)

// findEras tells each ruleset's era by its chains and by what FORWARD jumps to first, and the host's from theirs.
func (s *survey) findEras() {
	for _, v := range s.views {
		v.now, v.before = v.eras()
	}
	// A ruleset of which too little is left takes the era of the others; one daemon wrote them all.
	var all eras
	for _, v := range s.views {
		if v.now == 0 {
			continue
		}
		if all&v.now != 0 {
			all &= v.now
		} else if all == 0 {
			all = v.now
		}
	}
	for _, v := range s.views {
		switch {
		case v.now == 0 && all != 0:
			v.now = all
		case v.now == 0:
			v.now = anyEra
		case v.now&all != 0:
			v.now &= all
		}
		v.before &^= v.now
		s.leftover |= v.before
	}
	h := s.host
	h.HasDocker = s.anyChain || s.rawOnly()
	if !h.HasDocker {
		return
	}
	if all == 0 {
		// Only DOCKER-USER, or chains without a rule: an upper bound is not known.
		if s.chains[chUser] {
			h.MinVersion = E3.first()
		}
		return
	}
	h.Era = all.newest()
	h.MinVersion, h.MaxVersion = all.oldest().first(), all.newest().last()
	s.refine()
	h.Leftover = (s.leftover &^ all).list()
}

// eras gives the eras that one ruleset's rules can be of now, and those of which it has leftovers. Zero means unknown.
func (v *view) eras() (now, before eras) {
	has := func(c chainID) bool { return v.chains[c] != nil }
	sets := v.roles.has(roleSetCT) || v.roles.has(roleSetDocker)
	// What every chain on its own would say.
	var seen eras
	if has(chForwardD) {
		switch {
		case v.roles.has(roleJumpInternal) && !v.roles.has(roleJumpStage1):
			seen |= E7.set()
		case v.roles.has(roleJumpStage1) && v.jumpStage1In[chForwardD]:
			seen |= eras6
			if v.roles.has(roleJumpInternal) {
				seen |= E7.set()
			}
		case has(chInternal):
			seen |= E7.set()
		default:
			seen |= eras6
		}
	}
	if has(chInternal) && seen&E7.set() == 0 {
		before |= E7.set()
	}
	if has(chStage1) && seen&eras6 == 0 {
		if sets {
			seen |= E5.set()
		} else {
			seen |= E4.set()
		}
	}
	if has(chIsolation) {
		if has(chUser) {
			seen |= E3.set()
		} else {
			seen |= E2.set()
		}
	}
	// What FORWARD jumps to first is what is in use.
	switch v.firstJump {
	case chForwardD:
		now = seen & eras67
	case chStage1:
		now = E4.set()
		if sets {
			now = E5.set()
		}
	case chIsolation:
		now = seen & (E2.set() | E3.set())
	default:
		now = seen
		if n := seen.newest(); n != EraUnknown && seen&^eras6 != 0 && seen != n.set() {
			now = n.set()
			if eras6&now != 0 {
				now = eras6
			}
		}
	}
	if now&eras6 != 0 && now&E7.set() != 0 {
		now = E7.set()
		if v.jumpStage1First {
			now = eras6
		}
	}
	if now == 0 && v.filterDocker {
		switch {
		case v.roles.has(roleForwardDocker) && has(chUser):
			now = E3.set() | E4.set()
		case v.roles.has(roleForwardDocker):
			now = E1.set()
		case sets, v.roles.has(roleDefaultDrop):
			now = E5.set()
		}
	}
	if now == 0 && v.natDocker && !v.filterDocker && !has(chUser) && !has(chIngress) && v.roles.has(roleForwardCT) && v.roles.has(roleEgress) &&
		!v.roles.has(roleNatReturn) && !v.roles.has(roleRawContainer) {
		now = E0.set()
	}
	if now == 0 && v.roles.has(roleRawContainer) {
		now = E6b.set() | E7.set()
	}
	if now&eras6 == eras6 {
		switch {
		case v.roles.has(roleRawContainer):
			now &^= E6a.set()
		case v.roles.has(roleRawPort), sets:
			now &^= E6b.set()
		}
	}
	before |= seen &^ now
	if now&eras6 != 0 {
		before &^= eras6
		if v.roles.has(roleRawPort) {
			before |= E6a.set()
		}
	}
	// The old block of rules in FORWARD beside the new chains.
	if now&eras567 != 0 && v.roles.has(roleForwardDocker) {
		before |= upTo(E1, E4)
	}
	return now, before &^ now
}

// A hint narrows the range of releases within an era.
type hint struct {
	in   eras
	when func(s *survey) bool
	// min and max replace the bounds where they are not empty.
	min, max string
}

// hints are the marks that single releases left inside an era, from docker-release notes and moby's history.
func hints() []hint {
	role := func(r role) func(*survey) bool {
		return func(s *survey) bool { return s.roles.has(r) }
	}
	return []hint{
		// libnetwork put the jump behind the ctstate rule in 17.04.
		{E2.set(), func(s *survey) bool { return s.docker1st }, "", "17.03.x"},
		{E2.set(), func(s *survey) bool { return s.ct1st }, "17.04.0", ""},
		{E2.set(), func(s *survey) bool { return s.chains[chIngress] && !s.docker1st && !s.ct1st }, "1.12.0", ""},
		// ip6tables began in 20.10, DOCKER-USER of IPv6 in 23.0.
		{E4.set(), func(s *survey) bool { return s.v6Stage }, "20.10.0", ""},
		{E4.set(), func(s *survey) bool { return s.v6Stage && s.v6User }, "23.0.0", ""},
		{E4.set(), role(roleIngressReply), "25.0.0", ""},
		{E4.set(), role(roleWSLReturn), "27.3.0", ""},
		{E4.set(), role(roleIngressReplyState), "", "24.x"},
		// The BPF program replaced u32 in 24.0.
		{E4.set(), func(s *survey) bool { return s.u32 }, "", "23.x"},
	}
}

// refine applies the hints; one that contradicts the range so far is not applied.
func (s *survey) refine() {
	h := s.host
	for _, t := range hints() {
		if t.in != h.Era.set() || !t.when(s) {
			continue
		}
		lo, hi := h.MinVersion, h.MaxVersion
		if t.min != "" && older(lo, t.min) {
			lo = t.min
		}
		if t.max != "" && (hi == "" || older(t.max, hi)) {
			hi = t.max
		}
		if hi == "" || !older(hi, lo) {
			h.MinVersion, h.MaxVersion = lo, hi
		}
	}
}

// older compares two releases number by number; "x" is newer than any number.
func older(a, b string) bool {
	next := func(s string) (n int, rest string) {
		i := 0
		for i < len(s) && s[i] != '.' {
			if s[i] == 'x' {
				n = 1 << 30
			} else {
				n = n*10 + int(s[i]-'0')
			}
			i++
		}
		if i < len(s) {
			i++
		}
		return n, s[i:]
	}
	for a != "" || b != "" {
		var x, y int
		x, a = next(a)
		y, b = next(b)
		if x != y {
			return x < y
		}
		if x == 1<<30 {
			return false
		}
	}
	return false
}

// rawOnly says that nothing is left but raw rules of a shape and with a bridge name that only Docker writes.
func (s *survey) rawOnly() bool {
	for _, c := range s.claims {
		if c.tpl.role == roleRawContainer && dockerName(c.bridge()) {
			return true
		}
	}
	return false
}
