package hostfacts

import (
	"bytes"
	"encoding/json"
	"errors"
)

// switches are the settings of daemon.json that the daemon reads as bool (moby's daemon/config/config.go and config_linux.go, 1.12 to 29).
func switches(name string) bool {
	switch name {
	case "iptables", "ip6tables", "ip-forward", "ip-forward-no-drop", "ip-masq", "ipv6", "icc", "userland-proxy", "allow-direct-routing",
		"live-restore", "debug", "experimental", "selinux-enabled", "no-new-privileges", "init", "raw-logs", "tls", "tlsverify", "disable-legacy-registry":
		return true
	}
	return false
}

// quotedSettings finds the switches of a daemon.json that have a text for a value.
func quotedSettings(data []byte, e element) (out []QuotedSetting) {
	dec := json.NewDecoder(bytes.NewReader(e.raw))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return out
		}
		var raw json.RawMessage
		if dec.Decode(&raw) != nil {
			return out
		}
		name, _ := key.(string)
		var text string
		if switches(name) && raw[0] == '"' && json.Unmarshal(raw, &text) == nil {
			at := issueAt(data, e.off+int(dec.InputOffset())-len(raw), "")
			out = append(out, QuotedSetting{Name: name, Value: text, Line: at.Line})
		}
	}
	return out
}

// A daemonSwitch is a setting that is true or false. One in quotes counts as not given: see quotedSettings.
type daemonSwitch struct{ value *bool }

// UnmarshalJSON reads true, false, null or a text.
func (s *daemonSwitch) UnmarshalJSON(raw []byte) error {
	if len(raw) > 0 && raw[0] == '"' {
		return nil
	}
	if json.Unmarshal(raw, &s.value) != nil {
		return errors.New("a setting that is true or false has the value " + quote(string(raw)))
	}
	return nil
}
