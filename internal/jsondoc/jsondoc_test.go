package jsondoc

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

type document struct {
	Config      *v1.Descriptor    `json:"config"`
	Layers      []v1.Descriptor   `json:"layers"`
	Raw         json.RawMessage   `json:"raw"`
	Annotations map[string]string `json:"annotations"`
}

func TestAmbiguousDocuments(t *testing.T) {
	for raw, says := range map[string]string{
		`{"layers":[],"layers":[]}`:                                `"layers" twice`,
		`{"layers":[],"\u006cayers":[]}`:                           `"layers" twice`,
		`{"unknown":1,"unknown":1}`:                                `"unknown" twice`,
		`{"x":{"y":[{"z":1,"z":2}]}}`:                              `"z" twice`,
		`{"annotations":{"a":"1","a":"2"}}`:                        `"a" twice`,
		`{"raw":{"a":1,"a":1}}`:                                    `"a" twice`,
		`{"layers":[],"Layers":[]}`:                                `"Layers" in place of "layers"`,
		`{"Layers":[]}`:                                            `"Layers" in place of "layers"`,
		`{"layerſ":[]}`:                                            `"layerſ" in place of "layers"`,
		`{"layer\u017f":[]}`:                                       `"layerſ" in place of "layers"`,
		`{"layers":[{"Digest":""}]}`:                               `"Digest" in place of "digest"`,
		`{"config":{"platform":{"OS":"x"}}}`:                       `"OS" in place of "os"`,
		`{"config":{"platform":{"os.Version":"x"}}}`:               `"os.Version" in place of "os.version"`,
		`{"` + strings.Repeat("n", 100) + `":1, "ANNOTATIONS":{}}`: `"ANNOTATIONS" in place of`,
		"{\"a\xff\":1,\"a\xfe\":2}":                                "twice", // both are a�
	} {
		var d document
		err := UnmarshalStrict([]byte(raw), &d)
		if !errors.Is(err, ErrAmbiguous) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", raw, err)
		}
		if err := Unmarshal([]byte(raw), &d); errors.Is(err, ErrAmbiguous) {
			t.Errorf("%s: %v where that does not matter", raw, err)
		}
	}
	var many strings.Builder
	for n := range 40 {
		many.WriteString(`"` + strings.Repeat("x", n+1) + `":1,`)
	}
	if err := UnmarshalStrict([]byte(`{`+many.String()+`"x":1}`), &document{}); !errors.Is(err, ErrAmbiguous) {
		t.Errorf("a name far behind: %v", err)
	}
}

func TestUnambiguousDocuments(t *testing.T) {
	for _, raw := range []string{
		`{}`, `{"layers":null}`, ` { "layers" : [ {"digest":"sha256:` + strings.Repeat("a", 64) + `"} , {} ] } `,
		`{"annotations":{"Layers":"1","layers":"2","LAYERS":"3"}}`,
		`{"x-foo":{"Layers":1,"layers":2}, "X-Foo":1}`,
		`{"raw":{"Layers":1,"layers":2}}`,
		`{"layers":[{"annotations":{"size":"1","Size":"2"}}]}`,
		`{"config":{"digest":"sha256:` + strings.Repeat("a", 64) + `"},"layers":[{"size":1},{"size":1}]}`,
		`{"a":"\"b\":1,\\","c":"]}"}`,
	} {
		var got, want document
		err := UnmarshalStrict([]byte(raw), &got)
		wanted := json.Unmarshal([]byte(raw), &want)
		if errors.Is(err, ErrAmbiguous) || (err == nil) != (wanted == nil) || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, %v", raw, err, wanted)
		}
	}
	var list []struct{ Config, RepoTags string }
	if err := UnmarshalStrict([]byte(`[{"Config":"a"},{"config":"a"}]`), &list); !errors.Is(err, ErrAmbiguous) {
		t.Errorf("a field without a tag: %v", err)
	}
	var embedded struct {
		v1.Platform
		Layers string `json:"layers"`
	}
	if err := UnmarshalStrict([]byte(`{"Os":"linux"}`), &embedded); !errors.Is(err, ErrAmbiguous) {
		t.Errorf("an embedded field: %v", err)
	}
}

func TestTooMany(t *testing.T) {
	times := strings.Repeat
	for name, raw := range map[string]string{
		"nulls":             `{"layers":[null` + times(",null", MaxElements) + `]}`,
		"numbers":           `{"layers":[0` + times(",0", MaxElements) + `]}`,
		"objects":           `{"layers":[{}` + times(",{}", MaxElements) + `]}`,
		"texts":             `[""` + times(`,""`, MaxElements) + `]`,
		"arrays":            `{"x":[[]` + times(",[]", MaxElements) + `]}`,
		"spread":            `[[0` + times(",0", MaxElements/2) + `],[0` + times(",0", MaxElements/2) + `]]`,
		"members":           `{"x":[{"":0` + times(`},{"":0`, MaxElements/2) + `}],"y":{"a":0` + times(`,"a":0`, MaxMembers) + `}}`,
		"levels":            times("[", MaxDepth+1) + times("]", MaxDepth+1),
		"levels of objects": times(`{"a":`, MaxDepth+1) + "0" + times("}", MaxDepth+1),
	} {
		for _, unmarshal := range []func([]byte, any) error{Unmarshal, func(raw []byte, into any) error { _, err := Elements(raw); return err }} {
			if err := unmarshal([]byte(raw), &document{}); !errors.Is(err, ErrTooMany) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	var list []int
	if err := UnmarshalStrict([]byte(`[0`+times(",0", MaxElements-1)+`]`), &list); err != nil || len(list) != MaxElements {
		t.Errorf("%v", err)
	}
	for _, raw := range []string{"", "{", `{"a":1}x`, `{a:1}`, `"`} {
		if err := Unmarshal([]byte(raw), &list); err == nil || errors.Is(err, ErrTooMany) {
			t.Errorf("%q: %v", raw, err)
		}
	}
}

// The scanner must walk every valid document to its end, and count as encoding/json reads.
func FuzzUnmarshal(f *testing.F) {
	for _, s := range []string{`{"layers":[{"digest":""}],"Layers":1}`, `[[1,2],{"a":[null]}]`, `"a\"b"`, `-1e5`, `{"\ud800":1,"\ud801":2}`, `[1 , 2]`, `{"a" : {"b":[]} , "c":[{}]}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var loose, strict document
		plainErr := json.Unmarshal(raw, &document{})
		if err := Unmarshal(raw, &loose); err == nil && plainErr != nil || err != nil && plainErr == nil && !errors.Is(err, ErrTooMany) {
			t.Errorf("%q: %v, encoding/json %v", raw, err, plainErr)
		}
		err := UnmarshalStrict(raw, &strict)
		if err == nil && !reflect.DeepEqual(strict, loose) {
			t.Errorf("%q is read in two ways", raw)
		}
		if err != nil && plainErr == nil && !errors.Is(err, ErrTooMany) && !errors.Is(err, ErrAmbiguous) {
			t.Errorf("%q: %v", raw, err)
		}
		var parsed any
		if json.Unmarshal(raw, &parsed) == nil {
			n, err := Elements(raw)
			if want := elements(parsed); err == nil && n < want { // names that come twice hide elements
				t.Errorf("%q has %d elements, not %d", raw, want, n)
			}
		}
		if err == nil && ambiguous(raw) {
			t.Errorf("%q passes", raw)
		}
	})
}

func elements(v any) (n int) {
	switch v := v.(type) {
	case []any:
		n = len(v)
		for _, e := range v {
			n += elements(e)
		}
	case map[string]any:
		for _, e := range v {
			n += elements(e)
		}
	}
	return n
}

// ambiguous reports whether the outermost object names something twice, by another way.
func ambiguous(raw []byte) bool {
	d := json.NewDecoder(strings.NewReader(string(raw)))
	if first, err := d.Token(); err != nil || first != json.Delim('{') {
		return false
	}
	seen := map[string]bool{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return false
		}
		if seen[name.(string)] {
			return true
		}
		seen[name.(string)] = true
		var skip json.RawMessage
		if d.Decode(&skip) != nil {
			return false
		}
	}
	return false
}
