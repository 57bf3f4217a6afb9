package source

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// A document that means one thing here and another elsewhere is not published.
func TestAmbiguousDocumentsAreRefused(t *testing.T) {
	b := newBuilder(t)
	one, two := b.image("linux/amd64", b.layer("1")), b.image("linux/amd64", b.layer("2"))
	entry := func(i int) string {
		d := one
		if i == 2 {
			d = two
		}
		return fmt.Sprintf(`{"mediaType":%q,"size":%d,"digest":%q}`, d.MediaType, d.Size, d.Digest)
	}
	index := func(members string) string { return `{"schemaVersion":2,` + members + `}` }
	for name, raw := range map[string]string{
		"a name twice":                   index(`"manifests":[` + entry(1) + `],"manifests":[` + entry(2) + `]`),
		"another case":                   index(`"manifests":[` + entry(1) + `],"Manifests":[` + entry(2) + `]`),
		"another case, first":            index(`"MANIFESTS":[` + entry(2) + `],"manifests":[` + entry(1) + `]`),
		"folded by Unicode":              index(`"manifestſ":[` + entry(2) + `],"manifests":[` + entry(1) + `]`),
		"escaped":                        index(`"manifests":[` + entry(1) + `],"\u006danifests":[` + entry(2) + `]`),
		"in a descriptor":                index(`"manifests":[` + strings.Replace(entry(1), `"digest"`, fmt.Sprintf(`"digest":%q,"Digest"`, two.Digest), 1) + `]`),
		"in a platform":                  index(`"manifests":[` + strings.TrimSuffix(entry(1), "}") + `,"platform":{"os":"linux","architecture":"amd64","OS":"windows"}}]`),
		"anywhere":                       index(`"manifests":[` + entry(1) + `],"x":{"y":{"z":1,"z":2}}`),
		"an annotation twice":            index(`"manifests":[` + entry(1) + `],"annotations":{"a":"1","a":"2"}`),
		"alone, but for exact readers":   index(`"Manifests":[` + entry(1) + `],"manifests":[]`),
		"the media type in another case": index(`"mediatype":"application/vnd.oci.image.manifest.v1+json","manifests":[` + entry(1) + `]`),
	} {
		for form, members := range map[string][]member{
			"an index":   b.files(b.add(types.OCIImageIndex, []byte(raw))),
			"index.json": replaced(b.files(), "index.json", []byte(raw)),
		} {
			_, err := layoutOf(t, members, Options{})
			if !usererror.Is(err, usererror.SourceBroken) || !strings.Contains(err.Error(), "one thing to one program") {
				t.Errorf("%s, %s: %v", form, name, err)
			}
		}
	}
	for name, members := range map[string]string{
		"annotations": `"annotations":{"Layers":"1","layers":"2"}`,
		"extensions":  `"x-ours":{"Layers":1,"layers":2}`,
	} {
		_, err := layoutOf(t, b.files(b.add(types.OCIImageIndex, []byte(index(`"manifests":[`+entry(1)+`],`+members)))), Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	config := string(newDockerImage(t, "linux/amd64", nil).config)
	for raw, ok := range map[string]bool{
		`[{"Config":"c","Layers":[]}]`:                         true,
		`[{"Config":"c","Layers":[],"LayerSources":{"a":{}}}]`: true,
		`[{"Config":"c","config":"d","Layers":[]}]`:            false,
		`[{"Config":"c","Config":"c","Layers":[]}]`:            false,
		`[{"Config":"c","Layers":[],"layers":["x"]}]`:          false,
	} {
		_, err := open(t, writeFile(t, "saved.tar", tarOf(t, member{name: "manifest.json", data: []byte(raw)}, member{name: "c", data: []byte(config)})), Options{})
		if (err == nil) != ok {
			t.Errorf("%s: %v", raw, err)
		}
	}
	labelled := strings.Replace(config, `"config":{}`, `"config":{"Labels":{"os":"1","OS":"2"}}`, 1)
	_, err := open(t, writeFile(t, "saved.tar", tarOf(t, member{name: "manifest.json", data: []byte(`[{"Config":"c","Layers":[]}]`)}, member{name: "c", data: []byte(labelled)})), Options{})
	must(t, err)
}
