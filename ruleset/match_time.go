package ruleset

import (
	"strconv"
	"strings"
)

// clockSeconds reads hh[:mm[:ss]].
func clockSeconds(s string) (int, bool) {
	t := 0
	limits := []int{23, 59, 59}
	parts := strings.Split(s, ":")
	if len(parts) < 2 || len(parts) > 3 {
		return 0, false
	}
	for i, l := range limits {
		n := 0
		if i < len(parts) {
			var err error
			if n, err = strconv.Atoi(parts[i]); err != nil || n < 0 || n > l || len(parts[i]) > 2 {
				return 0, false
			}
		}
		t = t*60 + n
	}
	return t, true
}

func canonClock(_ *context, s *setting) (string, bool, bool) {
	t, ok := clockSeconds(s.v[0])
	return clockText(t), true, ok
}

func clockText(t int) string { return two(t/3600) + ":" + two(t/60%60) + ":" + two(t%60) }

func two(n int) string {
	if n < 10 {
		return "0" + strconv.Itoa(n)
	}
	return strconv.Itoa(n)
}

var weekdays = []string{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"}

// canonDays prints a list of days, or the other ones where it is negated (libxt_time.c).
func canonDays(max int, names []string) canon {
	return func(_ *context, s *setting) (string, bool, bool) {
		set, ok := parseDays(s.v[0], max, names)
		if !ok {
			return "", true, false
		}
		text := ""
		for i := 1; i <= max; i++ {
			if set[i] == s.not {
				continue
			}
			if text != "" {
				text += ","
			}
			if names != nil {
				text += names[i-1]
			} else {
				text += strconv.Itoa(i)
			}
		}
		return text, true, true
	}
}

func parseDays(s string, max int, names []string) (set [32]bool, ok bool) {
	for more := true; more; {
		var w string
		w, s, more = cutByte(s, ',')
		n, err := strconv.Atoi(w)
		if err != nil {
			n = 0
			for i, d := range names {
				if len(w) >= 2 && w[:2] == d[:2] {
					n = i + 1
				}
			}
		}
		if n < 1 || n > max {
			return set, false
		}
		set[n] = true
	}
	return set, true
}

// canonDate fills YYYY[-MM[-DD[Thh[:mm[:ss]]]]] up.
func canonDate(_ *context, s *setting) (string, bool, bool) {
	date, clock, t := cutByte(s.v[0], 'T')
	f := strings.Split(date, "-")
	if len(f) > 3 || t && len(f) != 3 {
		return "", true, false
	}
	v := [3]int{0, 1, 1}
	for i, w := range f {
		n, err := strconv.Atoi(w)
		if err != nil || n < 0 {
			return "", true, false
		}
		v[i] = n
	}
	if v[0] < 1970 || v[0] > 2038 || v[1] < 1 || v[1] > 12 || v[2] < 1 || v[2] > 31 {
		return "", true, false
	}
	secs := 0
	if t {
		var ok bool
		if !strings.Contains(clock, ":") {
			clock += ":00"
		}
		if secs, ok = clockSeconds(clock); !ok {
			return "", true, false
		}
	}
	return strconv.Itoa(v[0]) + "-" + two(v[1]) + "-" + two(v[2]) + "T" + clockText(secs), true, true
}

// lastDate is the default of --datestop: the end of 32-bit time.
const lastDate = "2038-01-19T03:14:07"

func saveTime(p *saver, u *use) {
	start, stop := u.find("--timestart"), u.find("--timestop")
	if start != nil || stop != nil {
		a, b := "00:00:00", "23:59:59"
		if start != nil {
			a = p.valueOf(start)
		}
		if stop != nil {
			b = p.valueOf(stop)
		}
		if a != "00:00:00" || b != "23:59:59" {
			p.opt(false, "--timestart", a)
			p.opt(false, "--timestop", b)
		}
	}
	for _, n := range []string{"--monthdays", "--weekdays"} {
		if s := u.find(n); s != nil {
			if _, _, ok := s.opt.canon(p.c, s); !ok {
				p.raw(s)
			} else if v := p.valueOf(s); v != allDays[n] {
				p.opt(false, n, v)
			}
		}
	}
	p.one(u, "--datestart")
	if s := u.find("--datestop"); s != nil {
		p.setting(s)
	} else {
		p.opt(false, "--datestop", lastDate)
	}
	if u.has("--kerneltz") || u.has("--localtz") {
		p.opt(false, "--kerneltz")
	}
	p.one(u, "--contiguous")
}

func checkTime(_ *context, u *use) string {
	if !u.has("--contiguous") {
		return ""
	}
	start, stop := 0, 86399
	if v, ok := u.get("--timestart"); ok {
		start, _ = clockSeconds(v)
	}
	if v, ok := u.get("--timestop"); ok {
		stop, _ = clockSeconds(v)
	}
	if start < stop {
		return "time: --contiguous only makes sense when stoptime is smaller than starttime"
	}
	return ""
}

var allDays = map[string]string{
	"--weekdays":  "Mon,Tue,Wed,Thu,Fri,Sat,Sun",
	"--monthdays": "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
}

// valueOf is the canonical text of a setting, or its words where it has none.
func (p *saver) valueOf(s *setting) string {
	if t, _, ok := s.opt.canon(p.c, s); ok {
		return t
	}
	return s.v[0]
}
