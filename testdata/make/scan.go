//go:build ignore

// Command scan is an SBOM generator for BuildKit: it writes an in-toto statement with
// an SPDX document that lists the files in the image. See docs/attestations/sbom-protocol.md
// in BuildKit's repository.
package main

import (
	"encoding/json"
	"io/fs"
	"log"
	"os"
	"path/filepath"
)

func main() {
	source, destination := os.Getenv("BUILDKIT_SCAN_SOURCE"), os.Getenv("BUILDKIT_SCAN_DESTINATION")
	files := []map[string]any{}
	err := fs.WalkDir(os.DirFS(source), ".", func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			files = append(files, map[string]any{"fileName": "/" + path, "SPDXID": "SPDXRef-" + filepath.Base(path)})
		}
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	statement, err := json.Marshal(map[string]any{
		"_type":         "https://in-toto.io/Statement/v0.1",
		"predicateType": "https://spdx.dev/Document",
		"predicate": map[string]any{
			"spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT",
			"name": "image", "files": files,
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	name := filepath.Base(source) + ".spdx.json"
	if err := os.WriteFile(filepath.Join(destination, name), statement, 0o644); err != nil {
		log.Fatal(err)
	}
}
