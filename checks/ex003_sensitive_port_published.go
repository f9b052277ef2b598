package checks

import (
	"fmt"
	"strings"

	"github.com/dfwlint/dfwlint/docker"
	"github.com/dfwlint/dfwlint/packet"
)

// ex003 finds data stores and administrative services that are published to everybody.
func ex003() *Check {
	return &Check{
		ID: "EX003", Name: "sensitive-port-published", Severity: Critical, Precision: HighPrecision, Score: "9.3",
		Tags: []string{"security", "docker", "exposure", "external/cwe/cwe-306"}, Since: "0.1.0",
		Absorbs: []string{"EX001", "EX002"}, Run: runEX003,
	}
}

func runEX003(p *Pass) {
	for _, v := range p.Views {
		if !sensitiveAny(p.Docker) {
			continue
		}
		for _, f := range v.exposed().forwards {
			if f.pub != nil && !f.open.IsEmpty() && !v.meantFor(f.pub) {
				p.sensitive(v, f)
			}
		}
	}
}

func sensitiveAny(h *docker.Host) bool {
	for _, p := range h.Published {
		if _, ok := serviceOf(p); ok {
			return true
		}
	}
	return false
}

// sensitive reports a published port of a service that is rarely meant for everybody.
func (p *Pass) sensitive(v *View, f *forward) {
	s, ok := serviceOf(f.pub)
	if !ok {
		return
	}
	open := certain(only(f.open, packet.FieldSrc, packet.FieldIn))
	iface, main, ok := v.strangersOn(open)
	if !ok {
		return
	}
	name := PortName(f.pub)
	shown := v.untrusted(f.open).Intersect(open).Intersect(v.Symbolic().Iface(packet.FieldIn, iface))
	proof := v.Prove(shown, "a connection from outside to port "+name, Forwards())
	if proof == nil || v.Undecided() {
		return
	}
	g := p.At(f.rule, "%s is open to anybody%s: port %s leads to %s, the usual port of that service.", strings.ToUpper(s.name[:1])+s.name[1:], v.onOutside(iface), name, Endpoint(f.pub.ContainerIP, f.pub.ContainerPort))
	if s.byHost {
		g.Message = fmt.Sprintf("Port %s, the usual port of %s, is open to anybody%s and leads to %s.", name, s.name, v.onOutside(iface), Endpoint(f.pub.ContainerIP, f.pub.ContainerPort))
		s.severity = min(s.severity, Medium)
	}
	g.Severity = s.severity
	if !main {
		g.Severity = min(g.Severity, Medium)
	}
	if privatelyBound(f.pub) {
		g.Severity = min(g.Severity, Low)
		g.Message = fmt.Sprintf("%s is open to whoever reaches %s: port %s leads to %s, the usual port of that service.", strings.ToUpper(s.name[:1])+s.name[1:], f.pub.HostIP, name, Endpoint(f.pub.ContainerIP, f.pub.ContainerPort))
		if s.byHost {
			g.Message = fmt.Sprintf("Port %s, the usual port of %s, is open to whoever reaches that address and leads to %s.", name, s.name, Endpoint(f.pub.ContainerIP, f.pub.ContainerPort))
		}
		g.detail("From the Internet that is nobody, unless a provider translates a public address to it.")
	} else if e := v.exposed(); len(e.losses) > 0 && g.Severity < High {
		// INPUT says that the port should be closed: then it matters as much as for any other port.
		if _, main, ok := v.strangersOn(e.bypass(f)); ok && main {
			g.Severity = High
			g.detail("INPUT would not let the packets in, but it never sees them.")
		}
	}
	g.Identity = "port " + name
	g.Subjects = append(g.Subjects, PortSubject(f.pub))
	g.Group = "sensitive " + v.Family() + " " + g.Severity.String()
	g.Proof = proof
	v.exposed().partly(g)
	g.detail("A firewall in front of this host may close the port; the rules here do not.")
	p.helpRestrict(v, g, f, iface)
	p.Report(g)
}

// A service is what usually listens on a port.
type service struct {
	name     string
	severity Severity
	// byHost says that only the host's port tells it, not the container's.
	byHost bool
}

// serviceOf names the service of a published port by the container's port, or else by the host's.
func serviceOf(p *docker.Published) (service, bool) {
	known := knownServices()
	if s, ok := known[p.ContainerPort]; ok {
		return s, p.Proto == packet.TCP || p.ContainerPort == 11211
	}
	// A host port alone is a weak hint: it counts for data stores, and not before a web server.
	switch p.ContainerPort {
	case 80, 443, 3000, 5000, 8000, 8080, 8443:
		return service{}, false
	}
	s, ok := known[p.HostPort.Lo]
	s.byHost = true
	return s, ok && p.Proto == packet.TCP && s.severity == Critical
}

// knownServices are the ports of IANA's registry, and of the projects' own documentation, for services whose default setup trusts whoever
// connects, or is attacked as soon as it is seen. Numbers that other software often uses, too, weigh less.
func knownServices() map[uint16]service {
	out := map[uint16]service{}
	add := func(severity Severity, name string, ports ...uint16) {
		for _, p := range ports {
			out[p] = service{name: name, severity: severity}
		}
	}
	add(Critical, "the Docker API", 2375)
	add(High, "the Docker API with TLS", 2376)
	add(High, "Docker's swarm management", 2377)
	add(Critical, "MySQL", 3306, 33060)
	add(Critical, "PostgreSQL", 5432)
	add(Critical, "Redis", 6379)
	add(Critical, "Memcached", 11211)
	add(Critical, "MongoDB", 27017, 27018, 27019)
	add(Critical, "Elasticsearch", 9200, 9300)
	add(Critical, "CouchDB", 5984)
	add(Critical, "Cassandra", 9042)
	add(Critical, "Microsoft SQL Server", 1433)
	add(Critical, "the Oracle database", 1521)
	add(Critical, "etcd", 2379, 2380)
	add(Critical, "the kubelet", 10250, 10255)
	add(High, "the Kubernetes API", 6443)
	add(High, "Kibana", 5601)
	add(High, "RabbitMQ", 5672, 15672, 4369)
	add(High, "ZooKeeper", 2181)
	add(High, "Kafka", 9092)
	add(High, "Consul", 8500, 8600)
	add(High, "Vault", 8200)
	add(High, "rsync", 873)
	add(High, "Windows file sharing", 139, 445)
	add(High, "the portmapper", 111)
	add(High, "LDAP", 389)
	add(High, "VNC", 5900)
	add(High, "Solr", 8983)
	add(High, "Neo4j", 7474, 7687)
	add(High, "ArangoDB", 8529)
	add(High, "RethinkDB", 28015)
	add(High, "CockroachDB", 26257)
	add(High, "ClickHouse", 8123)
	add(High, "Couchbase", 8091)
	add(High, "Redis Sentinel", 26379)
	add(High, "ActiveMQ", 61616)
	add(High, "Remote Desktop", 3389)
	add(Medium, "LDAP over TLS", 636)
	add(Medium, "InfluxDB", 8086)
	add(Medium, "Portainer", 9443)
	add(Medium, "Portainer, MinIO or PHP-FPM", 9000)
	add(Medium, "Prometheus", 9090, 9093)
	add(Medium, "a Prometheus exporter", 9100, 9115)
	add(Medium, "an MQTT broker", 1883)
	add(Medium, "NATS", 4222)
	add(Low, "a Jupyter notebook", 8888)
	add(Low, "mongo-express", 8081)
	add(Low, "Grafana", 3000)
	return out
}
