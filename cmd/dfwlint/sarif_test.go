package main

import (
	"bytes"
	"os"
	"path/filepath"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// sarifCommand validates a file against the SARIF 2.1.0 schema: `sarif FILE`.
func sarifCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: sarif FILE")
	}
	data, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	schema, err := jsonschema.NewCompiler().Compile(schemaFile)
	ts.Check(err)
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	ts.Check(err)
	ts.Check(schema.Validate(doc))
}

// schemaFile is the schema that package report tests with; tests run in their package's folder.
var schemaFile, _ = filepath.Abs(filepath.Join("..", "..", "report", "testdata", "sarif-schema-2.1.0.json"))
