package ruleset

import (
	"github.com/dfwlint/dfwlint/parser"
)

// A plan is what the lines of one shape have in common: which options are the base ones, and
// which uses of modules there are with which options, looked up once.
type plan struct {
	src, dst, in, out, proto, frag, counters int
	// jump is the index of -j or -g, -1 if there is none.
	jump, family int
	uses         []planUse
	target       planUse
	// repeated is the index of a base option that is given twice, -1 if none is.
	repeated int
}

// A planUse is a use of a module; opts are indices into the shape's options, with what the module's
// table says of each.
type planUse struct {
	mod *module
	ext *parser.Extension
	// word is the option -m or -j, -1 for the module that -p implies.
	word int
	use  int16
	opts []planOption
}

type planOption struct {
	index int
	opt   *option
	name  string
}

// planOf looks the options of a shape up.
func planOf(sh *parser.Shape) *plan {
	p := &plan{src: -1, dst: -1, in: -1, out: -1, proto: -1, frag: -1, counters: -1, jump: -1, family: -1, repeated: -1}
	p.target.word = -1
	set := func(field *int, i int) {
		if *field >= 0 {
			p.repeated = i
		}
		*field = i
	}
	r := modules()
	for i := range sh.Options {
		o := &sh.Options[i]
		if o.Ext == nil && o.Def != nil {
			switch o.Def.Name {
			case "-s":
				set(&p.src, i)
			case "-d":
				set(&p.dst, i)
			case "-i":
				set(&p.in, i)
			case "-o":
				set(&p.out, i)
			case "-p":
				set(&p.proto, i)
			case "-f":
				set(&p.frag, i)
			case "-c":
				p.counters = i
			case "-4", "-6":
				p.family = i
			case "-j", "-g":
				set(&p.jump, i)
				p.target.word, p.target.use, p.target.ext = i, o.Use, o.Loads
				if o.Loads != nil {
					p.target.mod = r.targets[o.Loads.Name]
				}
			case "-m":
				u := planUse{word: i, use: o.Use, ext: o.Loads}
				if u.ext != nil {
					u.mod = r.matches[u.ext.Name]
				}
				p.uses = append(p.uses, u)
			}
			continue
		}
		u := p.useOf(o)
		po := planOption{index: i}
		if o.Def != nil {
			po.name = o.Def.Name
			if u.mod != nil {
				po.opt = u.mod.lookup(po.name)
			}
		}
		u.opts = append(u.opts, po)
	}
	return p
}

// useOf finds the use to which an option belongs, and makes one for the module that -p implies.
func (p *plan) useOf(o *parser.OptionRef) *planUse {
	if o.Ext != nil && o.Ext.Kind == parser.ExtTarget || o.Use != 0 && o.Use == p.target.use && p.target.word >= 0 {
		return &p.target
	}
	for i := range p.uses {
		u := &p.uses[i]
		if u.use == o.Use && (o.Use != 0 || u.word < 0 && u.ext == o.Ext) {
			return u
		}
	}
	u := planUse{word: -1, use: o.Use, ext: o.Ext}
	if u.ext != nil {
		u.mod = modules().matches[u.ext.Name]
	}
	p.uses = append(p.uses, u)
	return &p.uses[len(p.uses)-1]
}
