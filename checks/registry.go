package checks

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
		du001(),
		du002(),
		du003(),
		du004(),
		du005(),
		du006(),
		du008(),
		du010(),
		du011(),
		ex001(),
		ex002(),
		ex003(),
		ex005(),
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
		nat005(),
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
