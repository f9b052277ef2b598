package collect

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// Write stores the files in a directory, which it makes if need be. Nobody but the owner may read them: the directory's mode is
// 0700, the files' 0600. Files of an earlier collection are replaced, those that are no more are removed.
func (r *Result) Write(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return err
	}
	for _, name := range Names() {
		if _, ok := r.Files[name]; ok {
			continue
		}
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Files)) {
		if err := write(filepath.Join(dir, name), r.Files[name]); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// write replaces a file at one go, so that no reader sees half of it.
func write(name string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".collect-*") // its mode is 0600
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // the first error tells more
	}
	return err
}

// Names are all names of files that Collect may give.
func Names() []string {
	return []string{
		"v4.rules", "v6.rules", "nft.rules", "nft6.rules", "legacy.rules", "legacy6.rules",
		"ip-addr.json", "ip-route.json", "ip-route6.json", "ip-rule.json", "ipset.save", "nft.txt", "ss.txt", "sysctl.txt",
		"docker-inspect.json", "docker-networks.json", "docker-info.json", "daemon.json",
	}
}
