package docker

import (
	"math/bits"

	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/ruleset"
)

// A claim is a rule that fits a template, with what the checks made of it.
type claim struct {
	rule *ruleset.Rule
	form form
	tpl  *template
	view *view
	// foreign says why the rule is not Docker's in spite of its form; stale why it is, but out of place.
	foreign, stale string
	next           *claim // the next ACCEPT for the same port
}

// bridge is the interface that the rule says is a bridge: that of -o where there are two.
func (c *claim) bridge() string {
	switch c.tpl.role {
	case roleRawTrusted, roleRawWSL, roleWSLReturn:
		return ""
	}
	if c.form.out != "" {
		return c.form.out
	}
	return c.form.in
}

// lasting says whether the rule is for a network as a whole, stands in a chain that Docker flushes when it starts, and is of
// the release in charge: such rules exist for living networks only.
func (c *claim) lasting() bool {
	switch c.tpl.role {
	case rolePort, roleLink, roleDNAT:
		return false
	}
	return c.tpl.proof != proofNone && c.tpl.eras&c.view.now != 0 && !c.rule.Chain.Builtin
}

func (c *claim) docker() bool { return c.foreign == "" }

func (c *claim) outdate(why string) {
	if c.stale == "" {
		c.stale = why
	}
}

// onlyUserChain says that DOCKER-USER is the only chain of Docker's in the ruleset.
func (v *view) onlyUserChain() bool {
	for id := chDocker; id < chCount; id++ {
		if id != chUser && v.chains[id] != nil {
			return false
		}
	}
	return true
}

// roleSet is a set of roles.
type roleSet [2]uint64

func (s *roleSet) add(r role)      { s[r>>6] |= 1 << (r & 63) }
func (s *roleSet) has(r role) bool { return s[r>>6]>>(r&63)&1 == 1 }
func (s *roleSet) count() int      { return bits.OnesCount64(s[0]) + bits.OnesCount64(s[1]) }

// evidence is what speaks for an interface being a bridge of Docker's.
type evidence struct {
	roles         roleSet
	strong, owned bool
	lasting       bool // a rule for the network as a whole in a chain that Docker flushes when it starts
}

// A view is one ruleset during recognition.
type view struct {
	rules  *ruleset.Ruleset
	fam    int
	chains [chCount]*ruleset.Chain // Docker's, filter before nat
	// now are the eras that its rules can be of, before those of which something is left.
	now, before eras
	roles       roleSet
	// firstJump is the chain of Docker's that FORWARD jumps to first, DOCKER-USER and DOCKER-INGRESS aside.
	firstJump       chainID
	jumpStage1In    [chCount]bool
	jumpStage1First bool // in DOCKER-FORWARD the jump to STAGE-1 stands before that to DOCKER-INTERNAL
	filterDocker    bool
	natDocker       bool
	hairpin         bool
	proxied         bool // a rule has the form that it has only with the userland proxy
	claims          []*claim
	facts           *facts
}

// A survey is the state of one call of Recognise.
type survey struct {
	host     *Host
	index    map[signature][]*template
	views    []*view
	claims   []*claim
	proofs   map[string]*evidence
	order    []string // the interfaces of proofs, as they came
	chains   [chCount]bool
	anyChain bool
	strong   bool // some rule proves some bridge strongly: the filter table was not flushed
	roles    roleSet
	leftover eras
	// Marks of single releases, for the hints.
	docker1st, ct1st, v6Stage, v6User, u32 bool
}

// read finds the claims of a ruleset.
func (s *survey) read(rs *ruleset.Ruleset) {
	v := &view{rules: rs}
	if rs.Family == parser.IPv6 {
		v.fam = 1
	}
	s.views = append(s.views, v)
	if s.proofs == nil {
		s.proofs = map[string]*evidence{}
	}
	n := 0
	for _, t := range rs.Tables {
		for _, c := range t.Chains {
			id := chainOf(c)
			if id == chNone {
				continue
			}
			n += len(c.Rules)
			if id < chDocker {
				continue
			}
			if v.chains[id] == nil || t.Name == "filter" {
				v.chains[id] = c
			}
			v.filterDocker = v.filterDocker || id == chDocker && t.Name == "filter"
			v.natDocker = v.natDocker || id == chDocker && t.Name == "nat"
			s.chains[id], s.anyChain = true, true
		}
	}
	s.v6Stage = s.v6Stage || v.fam == 1 && v.chains[chStage1] != nil
	s.v6User = s.v6User || v.fam == 1 && v.chains[chUser] != nil
	pool := make([]claim, 0, n)
	for _, t := range rs.Tables {
		for _, c := range t.Chains {
			id := chainOf(c)
			if id == chNone {
				continue
			}
			for _, r := range c.Rules {
				f := formOf(r, rs.Family)
				if f.foreign != "" {
					continue
				}
				tpl := s.find(signature{t.Name, id, f.has, f.target, f.jump}, rs.Family)
				if tpl == nil {
					continue
				}
				pool = append(pool, claim{rule: r, form: f, tpl: tpl, view: v})
				s.note(&pool[len(pool)-1], id)
			}
		}
	}
	v.claims = make([]*claim, len(pool))
	for i := range pool {
		v.claims[i] = &pool[i]
	}
	s.claims = append(s.claims, v.claims...)
}

// find returns the template of a signature for a family. Where the family is not known any will do.
func (s *survey) find(sig signature, fam parser.Family) *template {
	for _, t := range s.index[sig] {
		if t.family == 0 || fam == parser.FamilyUnknown || t.family == uint8(fam) {
			return t
		}
	}
	return nil
}

// note records what a claim says of the eras and of the bridge it names.
func (s *survey) note(c *claim, id chainID) {
	v, r := c.view, c.tpl.role
	s.roles.add(r)
	v.roles.add(r)
	switch r {
	case roleJumpForward, roleJumpIsolation:
		if v.firstJump == chNone {
			v.firstJump = c.form.jump
		}
	case roleJumpStage1:
		v.jumpStage1In[id] = true
		if id == chForward && v.firstJump == chNone {
			v.firstJump = chStage1
		}
		if id == chForwardD && !v.roles.has(roleJumpInternal) {
			v.jumpStage1First = true
		}
	case roleForwardDocker:
		if !s.docker1st && !s.ct1st && s.proofOf(c.form.out).roles.has(roleForwardCT) {
			s.ct1st = true
		}
	case roleForwardCT:
		if !s.docker1st && !s.ct1st && s.proofOf(c.form.out).roles.has(roleForwardDocker) {
			s.docker1st = true
		}
	case roleNatJumpHairpin:
		v.hairpin = true
	case roleNatJumpOut:
		v.proxied = true
	case roleDNAT:
		v.proxied = v.proxied || c.form.has&notIn != 0
	case roleOverlayIn, roleOverlayMark:
		s.u32 = s.u32 || c.form.u32
	}
	if c.tpl.proof == proofNone {
		return
	}
	s.prove(c, c.form.out)
	if c.form.in != c.form.out {
		s.prove(c, c.form.in)
	}
}

func (s *survey) proofOf(name string) *evidence {
	e := s.proofs[name]
	if e == nil {
		e = &evidence{}
		s.proofs[name] = e
		s.order = append(s.order, name)
	}
	return e
}

func (s *survey) prove(c *claim, name string) {
	if name == "" {
		return
	}
	e := s.proofOf(name)
	e.roles.add(c.tpl.role)
	switch c.tpl.proof {
	case proofStrong:
		e.strong, s.strong = true, true
	case proofOwned:
		e.owned = true
	}
}
