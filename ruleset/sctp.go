package ruleset

// chunkNames are sctp's, in the order of their numbers (libxt_sctp.c).
var chunkNames = []struct {
	name  string
	n     uint8
	flags string
}{
	{"DATA", 0, "----IUBE"}, {"INIT", 1, "--------"}, {"INIT_ACK", 2, "--------"}, {"SACK", 3, "--------"},
	{"HEARTBEAT", 4, "--------"}, {"HEARTBEAT_ACK", 5, "--------"}, {"ABORT", 6, "-------T"},
	{"SHUTDOWN", 7, "--------"}, {"SHUTDOWN_ACK", 8, "--------"}, {"ERROR", 9, "--------"},
	{"COOKIE_ECHO", 10, "--------"}, {"COOKIE_ACK", 11, "--------"}, {"ECN_ECNE", 12, "--------"},
	{"ECN_CWR", 13, "--------"}, {"SHUTDOWN_COMPLETE", 14, "-------T"}, {"I_DATA", 64, "----IUBE"},
	{"RE_CONFIG", 130, "--------"}, {"PAD", 132, "--------"}, {"ASCONF", 193, "--------"},
	{"ASCONF_ACK", 128, "--------"}, {"FORWARD_TSN", 192, "--------"}, {"I_FORWARD_TSN", 194, "--------"},
}

// canonChunks prints the list in the order of the chunk numbers; ALL and NONE stand alone.
func canonChunks(_ *context, s *setting) (string, bool, bool) {
	kind := ""
	for _, k := range []string{"any", "all", "only"} {
		if equalFold(k, s.v[0]) {
			kind = k
		}
	}
	if kind == "" {
		return "", true, false
	}
	if s.v[1] == "" {
		return "", true, false
	}
	if equalFold(s.v[1], "ALL") {
		return kind + " ALL", true, true
	}
	if equalFold(s.v[1], "NONE") {
		return kind + " NONE", true, true
	}
	var flags [256]string
	var set [256]bool
	rest, more := s.v[1], true
	for more {
		var w string
		w, rest, more = cutByte(rest, ',')
		name, f, colon := cutByte(w, ':')
		found := false
		for _, c := range chunkNames {
			if equalFold(c.name, name) {
				found, set[c.n] = true, true
				if colon {
					t, ok := chunkFlags(c.flags, f)
					if !ok {
						return "", true, false
					}
					flags[c.n] = t
				}
			}
		}
		if !found {
			return "", true, false
		}
	}
	text := ""
	for n := range set {
		if !set[n] {
			continue
		}
		for _, c := range chunkNames {
			if int(c.n) == n {
				if text != "" {
					text += ","
				}
				text += c.name
				if flags[n] != "" {
					text += ":" + flags[n]
				}
			}
		}
	}
	return kind + " " + text, true, true
}

// chunkFlags orders flag letters as the chunk type has them; a small letter asks for a clear bit.
func chunkFlags(valid, given string) (string, bool) {
	var out []byte
	left := len(given)
	for i := 0; i < len(valid); i++ {
		if valid[i] == '-' {
			continue
		}
		for j := 0; j < len(given); j++ {
			if given[j]&^0x20 == valid[i] {
				out = append(out, given[j])
				left--
				break
			}
		}
	}
	return string(out), left == 0
}
