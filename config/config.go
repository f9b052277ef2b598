// Package config reads .dfwlint.yaml: which checks run and how severe they are, what the operator tells about the host, and
// which findings are known and meant.
//
// Keys are strict. Whatever is wrong is said with file, line and column, and with the word that may be meant.
package config

import (
	_ "embed"
	"errors"
	"fmt"

	"github.com/dfwlint/dfwlint/checks"
	"github.com/dfwlint/dfwlint/parser"
	"go.yaml.in/yaml/v3"
)

// FileName is the name under which a configuration is looked for.
const FileName = ".dfwlint.yaml"

//go:embed schema.json
var schema string

//go:embed starter.yaml
var starter string

// Schema is the JSON schema of the file (draft 2020-12), for editors.
func Schema() string { return schema }

// Starter is a commented file to begin with. It changes nothing until lines are uncommented.
func Starter() string { return starter }

// A Config is a file, read.
type Config struct {
	// Name is the file's.
	Name string
	// Off are the IDs of checks that do not run; Severities replaces those of their findings.
	Off        map[string]bool
	Severities map[string]checks.Severity
	Settings   checks.Settings
	Ignores    []*checks.Ignore
}

// An Error is a mistake in the file.
type Error struct {
	File      string
	Line, Col int
	Text      string
}

func (e *Error) Error() string { return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Col, e.Text) }

// Parse reads a file. The error joins an [Error] for each mistake, in order.
func Parse(name string, data []byte) (*Config, error) {
	c := &Config{Name: name, Off: map[string]bool{}, Severities: map[string]checks.Severity{}}
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		line, text := yamlError(err)
		return nil, &Error{name, line, 1, text}
	}
	if len(doc.Content) == 0 { // nothing but comments
		return c, nil
	}
	// Reports show lines of the file, so it needs the form of an input; that it is no dump does not matter.
	d := &decoder{name: name, file: parser.Parse(name, data), config: c}
	d.root(doc.Content[0])
	if len(d.errs) > 0 {
		return nil, errors.Join(d.errs...)
	}
	return c, nil
}
