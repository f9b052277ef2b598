package collect

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os/exec"
	"slices"
	"strings"
)

// docker asks the daemon for its containers, networks and settings.
func (c *collector) docker() {
	ids, err := c.host.Run("docker", "container", "ls", "--all", "--quiet", "--no-trunc")
	switch {
	case errors.Is(err, exec.ErrNotFound):
		c.missing("docker is not installed.")
		return
	case err != nil:
		c.missing("docker does not answer: %s.", strings.TrimSuffix(reason(err), "."))
		return
	}
	c.inspect("docker-inspect.json", "container", ids)
	if ids, ok := c.run("docker", "network", "ls", "--quiet", "--no-trunc"); ok {
		c.inspect("docker-networks.json", "network", ids)
	}
	if out, ok := c.run("docker", "info", "--format", "{{json .}}"); ok {
		c.keep("docker-info.json", out)
	}
}

// inspect keeps what docker tells of things by their IDs, one a line.
func (c *collector) inspect(file, kind string, ids []byte) {
	list := strings.Fields(string(ids))
	if len(list) == 0 {
		c.res.Files[file] = []byte("[]\n")
		return
	}
	if out, ok := c.run("docker", append([]string{kind, "inspect"}, list...)...); ok {
		c.keep(file, out)
	}
}

// keep stores JSON without what may hold secrets. What is no JSON is not stored.
func (c *collector) keep(file string, data []byte) {
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		c.missing("%s: docker printed no JSON: %v.", file, err)
		return
	}
	out, err := json.MarshalIndent(strip(v), "", "  ")
	if err != nil {
		c.missing("%s: %v.", file, err)
		return
	}
	c.res.Files[file] = append(out, '\n')
}

// secretKeys are the members of JSON objects that may hold secrets: passwords stand in environment variables, in arguments of commands, in
// labels, in the URLs of proxies and registries, and in the options of log and volume drivers.
func secretKeys() []string {
	return []string{
		"env", "labels", "cmd", "args", "path", "entrypoint", "healthcheck", "health", "command", "annotations", "onbuild", "execids",
		"httpproxy", "httpsproxy", "noproxy", "http-proxy", "https-proxy", "proxies", "registryconfig", "registry-mirrors", "insecure-registries",
		"logconfig", "log-opts", "mounts", "binds", "volumes", "tmpfs", "storage-opts", "secrets", "credentialspec", "swarm", "debug-options",
	}
}

// strip takes the secret members out of a JSON value, at any depth.
func strip(v any) any {
	secret := secretKeys()
	var walk func(any) any
	walk = func(v any) any {
		switch v := v.(type) {
		case map[string]any:
			for k, x := range v {
				if slices.Contains(secret, strings.ToLower(k)) {
					delete(v, k)
					continue
				}
				v[k] = walk(x)
			}
		case []any:
			for i, x := range v {
				v[i] = walk(x)
			}
		}
		return v
	}
	return walk(v)
}

// daemon keeps the daemon's configuration file, which it need not have.
func (c *collector) daemon() {
	data, err := fs.ReadFile(c.host.Files, "etc/docker/daemon.json")
	if err != nil {
		return
	}
	var v any
	if json.Unmarshal(data, &v) != nil {
		c.missing("/etc/docker/daemon.json is no JSON: dockerd would not start with it.")
		return
	}
	c.keep("daemon.json", data)
}
