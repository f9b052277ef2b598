package checks

import (
	"strings"

	"github.com/dfwlint/dfwlint/spelling"
)

// Registry gives all checks, in the order of their IDs. Every line makes one check exist.
func Registry() []*Check {
	return []*Check{
		co001(),
		co002(),
		co003(),
		co004(),
		co005(),
		co006(),
		co007(),
		co008(),
		co009(),
		ctx1(),
		ctx2(),
		ctx3(),
		ctx4(),
		ctx5(),
		ctx6(),
		ctx7(),
		ctx8(),
		du001(),
		du002(),
		du003(),
		du004(),
		du005(),
		du006(),
		du007(),
		du008(),
		du009(),
		du010(),
		du011(),
		ex001(),
		ex002(),
		ex003(),
		ex004(),
		ex005(),
		ex006(),
		ex007(),
		ex008(),
		ex009(),
		hy001(),
		hy002(),
		hy003(),
		hy004(),
		hy005(),
		hy006(),
		lo001(),
		lo002(),
		lo003(),
		lo004(),
		lo005(),
		nat001(),
		nat002(),
		nat003(),
		nat004(),
		nat005(),
		nat006(),
		nat007(),
		ord001(),
		ord002(),
		ord003(),
		ord004(),
		ord005(),
		st001(),
		st002(),
		st003(),
		st004(),
		st005(),
		st006(),
		sup001(),
		sup002(),
		sup003(),
		v6001(),
		v6002(),
		v6003(),
	}
}

// ByID finds a check by its ID, in upper case.
func ByID(id string) (*Check, bool) {
	for _, c := range Registry() {
		if c.ID == id {
			return c, true
		}
	}
	return nil, false
}

// Find finds a check by ID or name, whatever the case. Where there is none, near is the ID or name that may be meant, or "".
func Find(word string) (c *Check, near string) {
	var words []string
	for _, c := range Registry() {
		if strings.EqualFold(word, c.ID) || strings.EqualFold(word, c.Name) {
			return c, ""
		}
		words = append(words, c.ID, c.Name)
	}
	return nil, spelling.Nearest(word, words)
}

// Matching gives the IDs that a word stands for: an ID, a name, or the letters that a group of IDs begins with, such as DU.
// Where there are none, near is what may be meant, or "".
func Matching(word string) (ids []string, near string) {
	for _, c := range Registry() {
		if strings.EqualFold(word, strings.TrimRight(c.ID, "0123456789")) {
			ids = append(ids, c.ID)
		}
	}
	if ids != nil {
		return ids, ""
	}
	c, near := Find(word)
	if c == nil {
		return nil, near
	}
	return []string{c.ID}, ""
}
