package ruleset

import (
	"strconv"
	"strings"
)

// A rateUnit is a period of limit and hashlimit, in the order in which print_rates tries them.
type rateUnit struct {
	name    string
	seconds uint64
}

var rateUnits = [4]rateUnit{{"day", 86400}, {"hour", 3600}, {"min", 60}, {"sec", 1}}

// The scales of one second: XT_LIMIT_SCALE and XT_HASHLIMIT_SCALE_v2.
const (
	limitScale     = 10000
	hashlimitScale = 1000000
)

// parseRate reads N[/UNIT], the unit abbreviated at will, and gives the period of one packet in the
// scale's units and the unit's seconds.
func parseRate(s string, scale uint64) (period, unit uint64, ok bool) {
	n, u, slash := cutByte(s, '/')
	unit = 1
	if slash {
		switch {
		case u == "":
			return 0, 0, false
		case abbreviates(u, "second"):
		case abbreviates(u, "minute"):
			unit = 60
		case abbreviates(u, "hour"):
			unit = 3600
		case abbreviates(u, "day"):
			unit = 86400
		default:
			return 0, 0, false
		}
	}
	if scale == limitScale { // libxt_limit reads it with atoi, which stops at the first other character
		end := 0
		for end < len(n) && '0' <= n[end] && n[end] <= '9' {
			end++
		}
		n = n[:end]
	}
	r, err := strconv.ParseUint(n, 10, 32)
	if err != nil || r == 0 {
		return 0, 0, false
	}
	period = scale * unit / r
	// A period of 0 is refused as too fast.
	return period, unit, period != 0
}

func abbreviates(s, word string) bool {
	return len(s) <= len(word) && strings.EqualFold(s, word[:len(s)])
}

// rateText prints a period in the largest unit that loses little, as print_rates does.
func rateText(period, scale uint64) (text string, unit uint64) {
	i := 1
	for ; i < len(rateUnits); i++ {
		m := rateUnits[i].seconds * scale
		if period > m || m/period < m%period {
			break
		}
	}
	u := rateUnits[i-1]
	return utoa(u.seconds*scale/period) + "/" + u.name, u.seconds
}

// byteUnits are what hashlimit prints byte rates in.
var byteUnits = []struct {
	name string
	mult uint64
}{{"m", 1 << 20}, {"k", 1 << 10}, {"", 1}}

// parseBytes reads N, Nb, Nkb or Nmb, with "/s" for a rate.
func parseBytes(s string) (uint64, bool) {
	s = strings.TrimSuffix(s, "/s")
	i := 0
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	n, err := strconv.ParseUint(s[:i], 10, 32)
	if err != nil {
		return 0, false
	}
	switch strings.ToLower(s[i:]) {
	case "b":
		return n, true
	case "kb":
		return n << 10, true
	case "mb":
		return n << 20, true
	}
	return 0, false
}

// bytesText prints a burst in the largest unit, dropping the rest, as print_bytes does.
func bytesText(n uint64) string {
	for _, u := range byteUnits {
		if n >= u.mult {
			return utoa(n/u.mult) + u.name + "b"
		}
	}
	return "0b"
}

// bytesCost and costBytes are the kernel's rounding of a byte rate, there and back
// (libxt_hashlimit.c).
func bytesCost(n uint64) uint64 { return (1<<32 - 1) / (n>>4 + 1) }

func costBytes(n uint64) uint64 {
	const most = 1<<32 - 1
	r := uint64(most)
	if cost := bytesCost(n); cost != 0 {
		r = most / cost
	}
	return (r - 1) << 4
}

// byteRateText prints what is left of a byte rate, in the largest unit that rounds to the same.
func byteRateText(n uint64) string {
	cost, r := bytesCost(n), costBytes(n)
	for _, u := range byteUnits {
		if r >= u.mult && bytesCost(r&^(u.mult-1)) == cost {
			return utoa(r/u.mult) + u.name + "b/s"
		}
	}
	return utoa(r) + "b/s"
}

// burstBytes is a burst in whole multiples of the rate; ok is false if it is smaller than that.
func burstBytes(burst, rate uint64) (uint64, bool) {
	if rate == 0 || burst < rate {
		return burst, false
	}
	return (burst + rate - 1) / rate * rate, true
}

// parseBitRate reads rateest's rates: 5kbit, 3mibps, …: bits per second (libxt_rateest.c, rates table).
func parseBitRate(s string) (uint64, bool) {
	i := 0
	for i < len(s) && (s[i] >= '0' && s[i] <= '9' || s[i] == '.') {
		i++
	}
	f, err := strconv.ParseFloat(s[:i], 64)
	if err != nil {
		return 0, false
	}
	unit := strings.ToLower(s[i:])
	mult := 1.0
	if unit != "" {
		bytes := strings.HasSuffix(unit, "bps")
		p := strings.TrimSuffix(strings.TrimSuffix(unit, "bps"), "bit")
		if p == unit {
			return 0, false
		}
		m, ok := map[string]float64{"": 1, "k": 1e3, "ki": 1 << 10, "m": 1e6, "mi": 1 << 20, "g": 1e9, "gi": 1 << 30, "t": 1e12, "ti": 1 << 40}[p]
		if !ok {
			return 0, false
		}
		mult = m
		if bytes {
			mult *= 8
		}
	}
	return uint64(f * mult), true
}
