package publish

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// Every string of a Result that is not structure (a host, a reference, a digest, a platform, a
// name from the plan) is of a type of its own, which is redacted when it is made: who adds a
// plain one says here what it is.
func TestFreeTextIsRedacted(t *testing.T) {
	var plain []string
	var walk func(at string, typ reflect.Type)
	walk = func(at string, typ reflect.Type) {
		switch typ.Kind() {
		case reflect.Struct:
			if typ == reflect.TypeFor[time.Time]() {
				return
			}
			for i := range typ.NumField() {
				if f := typ.Field(i); f.IsExported() {
					walk(at+"."+f.Name, f.Type)
				}
			}
		case reflect.Slice, reflect.Pointer, reflect.Map:
			walk(at, typ.Elem())
		case reflect.String:
			if typ == reflect.TypeFor[string]() {
				plain = append(plain, strings.TrimPrefix(at, "."))
			}
		}
	}
	walk("", reflect.TypeFor[Result]())
	want := []string{
		"Images.Name", "Images.Reference", "Images.Parts", "Images.Digest", "Images.MediaType", "Images.Platforms",
		"Registries.Host", "Registries.References.Reference", "Registries.References.Before", "Registries.References.Now",
		"Registries.Created", "Registries.ToCreate",
		"Skipped.Input", "Skipped.Text", "Skipped.Host", "Skipped.Reason", // of the inputs, and why in our words
		"Notes.Host",
	}
	if !slices.Equal(plain, want) {
		t.Errorf("plain strings in a Result:\n%s\nwant\n%s", strings.Join(plain, "\n"), strings.Join(want, "\n"))
	}
}
