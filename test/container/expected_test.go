package container

import (
	"encoding/json"
	"testing"
)

// contents is what testdata/fixtures.json says of an archive, see make/expect.sh there.
type contents struct {
	Images []struct {
		Digest    string   `json:"digest"`
		MediaType string   `json:"mediaType"`
		Names     []string `json:"names"`
		Platforms []string `json:"platforms"`
	} `json:"images"`
	Docker []struct {
		Tags    []string `json:"tags"`
		Config  string   `json:"config"`
		DiffIDs []string `json:"diffIDs"`
	} `json:"docker"`
}

func expected(t *testing.T) map[string]contents {
	t.Helper()
	var all map[string]contents
	if err := json.Unmarshal([]byte(read(t, fixture(t, "fixtures.json"))), &all); err != nil {
		t.Fatal(err)
	}
	return all
}
