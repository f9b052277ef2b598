package checks

import (
	"fmt"
	"strings"
)

// ctx1 finds switches of daemon.json whose value is in quotes, which the daemon refuses.
func ctx1() *Check {
	return &Check{
		ID: "CTX1", Name: "daemon-json-bool-as-string", Severity: High, Precision: VeryHighPrecision,
		Tags: []string{"docker", "context", "availability"}, Since: "0.1.0", Structural: true, Run: runCTX1,
	}
}

func runCTX1(p *Pass) {
	d := p.daemon()
	if d == nil || len(d.Quoted) == 0 {
		return
	}
	var names []string
	for _, q := range d.Quoted {
		names = append(names, fmt.Sprintf("%s (line %d)", q.Name, q.Line))
	}
	f := p.AtHost("quoted", "Docker does not start with this daemon.json: it takes true or false without quotes for %s.", List(names))
	if f == nil {
		return
	}
	f.Detail = "A daemon that runs already keeps its old settings: a reload refuses the file, too, and settings of the packet filter count only from a restart on."
	f.Help.Text = "Take the quotes away, have the daemon look at the file, and restart it."
	for _, q := range d.Quoted {
		if v := strings.ToLower(q.Value); v == "true" || v == "false" {
			f.Help.Commands = append(f.Help.Commands, fmt.Sprintf(`sed -i -E 's/("%s"[[:space:]]*:[[:space:]]*)"%s"/\1%s/' /etc/docker/daemon.json`, q.Name, q.Value, v))
		}
	}
	f.Help.Commands = append(f.Help.Commands, "dockerd --validate --config-file=/etc/docker/daemon.json", "systemctl restart docker")
	p.Report(f)
}
