package hostfacts

import (
	"slices"
	"testing"
)

// TestParseDaemon reads switches that are right, in quotes, and neither.
func TestParseDaemon(t *testing.T) {
	info := &DockerInfo{}
	issues := ParseDaemon([]byte("{\n  \"iptables\": \"false\",\n  \"userland-proxy\": false,\n  \"icc\":\"\", \"log-driver\": \"journald\",\n  \"labels\": [\"iptables\", \"x\"]\n}"), info)
	if issues != nil || info.IPTables != nil || info.UserlandProxy == nil || *info.UserlandProxy {
		t.Errorf("%v %+v", issues, info)
	}
	if want := []QuotedSetting{{"iptables", "false", 2}, {"icc", "", 4}}; !slices.Equal(info.Quoted, want) {
		t.Errorf("%v, want %v", info.Quoted, want)
	}
	info = &DockerInfo{}
	if issues := ParseDaemon([]byte(`{"iptables": false, "debug": null}`), info); issues != nil || info.Quoted != nil || info.IPTables == nil || *info.IPTables {
		t.Errorf("%v %+v", issues, info)
	}
	if issues := ParseDaemon([]byte(`{"iptables": 0}`), info); len(issues) != 1 {
		t.Errorf("a number is taken for a switch: %v", issues)
	}
}
