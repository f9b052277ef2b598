package docker

import (
	"strings"

	"github.com/dfwlint/dfwlint/ruleset"
)

// chainID is a chain in which Docker writes.
type chainID uint8

const (
	chNone chainID = iota
	chInput
	chForward
	chOutput
	chPrerouting
	chPostrouting
	chDocker
	chUser
	chForwardD // DOCKER-FORWARD
	chCT
	chBridge
	chInternal
	chIsolation
	chStage1
	chStage2
	chIngress
	chOverlay
	chResolverOut
	chResolverPost
	chCount
)

// chainNames are the names, by chainID.
var chainNames = [chCount]string{"", "INPUT", "FORWARD", "OUTPUT", "PREROUTING", "POSTROUTING", "DOCKER", "DOCKER-USER",
	"DOCKER-FORWARD", "DOCKER-CT", "DOCKER-BRIDGE", "DOCKER-INTERNAL", "DOCKER-ISOLATION", "DOCKER-ISOLATION-STAGE-1",
	"DOCKER-ISOLATION-STAGE-2", "DOCKER-INGRESS", "DOCKER-OVERLAY", "DOCKER_OUTPUT", "DOCKER_POSTROUTING"}

// chainByName finds a chain by table and name; chNone if Docker does not write there.
func chainByName(table, name string) chainID {
	if !strings.HasPrefix(name, "DOCKER") {
		for c := chInput; c <= chPostrouting; c++ {
			if chainNames[c] == name {
				return c
			}
		}
		return chNone
	}
	for c := chDocker; c < chCount; c++ {
		if chainNames[c] != name {
			continue
		}
		nat := c == chDocker || c == chIngress || c == chResolverOut || c == chResolverPost
		filter := c != chResolverOut && c != chResolverPost
		if table == "nat" && nat || table == "filter" && filter {
			return c
		}
	}
	return chNone
}

// chainOf is chainByName for a chain of a ruleset. A user-defined chain with a built-in's name does not count.
func chainOf(c *ruleset.Chain) chainID {
	if c == nil || c.Table == nil {
		return chNone
	}
	id := chainByName(c.Table.Name, c.Name)
	if id != chNone && (id < chDocker) != c.Builtin {
		return chNone
	}
	return id
}

// IsDockerChain says whether Docker creates and keeps a chain of that name in that table. DOCKER-USER counts: Docker creates it,
// but its rules are people's.
func IsDockerChain(table, name string) bool { return chainByName(table, name) >= chDocker }
