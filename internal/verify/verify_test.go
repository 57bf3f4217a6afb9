package verify

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

const (
	first  = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	second = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

// TestParseReceipt: what was pushed or unchanged is read, with the digest that it was given.
func TestParseReceipt(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"one image": {`{"digest":"` + first + `","registries":[{"registry":"ghcr.io","references":[
			{"reference":"ghcr.io/a/b:1","status":"pushed","now":"` + second + `"},{"reference":"ghcr.io/a/b:2","status":"unchanged"},
			{"reference":"ghcr.io/a/b:3","status":"failed"},{"reference":"ghcr.io/a/b:4","status":"planned"}]}]}`,
			"ghcr.io/a/b:1=" + first + " ghcr.io/a/b:2=" + first},
		"several": {`{"digest":"","images":[{"name":"x","digest":"` + first + `"},{"name":"y","digest":"` + second + `"}],"registries":[{"references":[
			{"reference":"docker.io/a/x:1","image":"x","digest":"` + first + `","status":"pushed"},{"reference":"docker.io/a/y:1","image":"y","status":"pushed"}]}]}`,
			"docker.io/a/x:1=" + first + " docker.io/a/y:1=" + second},
		"by digest": {`{"registries":[{"references":[{"reference":"quay.io/a/b@` + first + `","status":"pushed"}]}]}`, "quay.io/a/b@" + first + "=" + first},
		"nothing":   {`{"digest":"","registries":[]}`, ""},
	} {
		receipt, err := ParseReceipt("results.json", c.text)
		var got []string
		for _, p := range receipt.Published {
			got = append(got, p.Reference.String()+"="+p.Digest)
		}
		if err != nil || strings.Join(got, " ") != c.want {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	for _, text := range []string{
		"", "null", "[]", "{}", "x", `{"registries":null}`, `{"registries":[{"references":[{"reference":"a b","status":"pushed"}]}]}`,
		`{"registries":[{"references":[{"reference":"ghcr.io/a/b:1","status":"pushed"}]}]}`,
	} {
		if _, err := ParseReceipt("results.json", text); !usererror.Is(err, usererror.InvalidInput) || !strings.Contains(err.Error(), "results.json") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// Results may come from anywhere: what is in them is counted before it is kept.
func TestHostileReceipt(t *testing.T) {
	for _, list := range []string{`{"registries":[`, `{"registries":[{"references":[`} {
		text := list + strings.Repeat("{},", 50_000) + "{}" + strings.Repeat("]}", strings.Count(list, "["))
		if _, err := ParseReceipt("results.json", text); !usererror.Is(err, usererror.InvalidInput) {
			t.Errorf("%s…: %v", list, err)
		}
	}
}

// TestRun: a difference is 1, what could not be asked is 2, and all is told.
func TestRun(t *testing.T) {
	unreachable := errors.New("unreachable")
	for name, c := range map[string]struct {
		served    map[string]string // by reference; not there: unreachable
		truncated bool
		status    int
		says      string
	}{
		"same":             {map[string]string{"ghcr.io/a/b:1": first, "quay.io/a/b:1": first}, false, 0, "2 of 2 references serve what was published"},
		"moved":            {map[string]string{"ghcr.io/a/b:1": first, "quay.io/a/b:1": second}, false, 1, "quay.io/a/b:1 serves " + second + "; it was published with " + first},
		"gone":             {map[string]string{"ghcr.io/a/b:1": "", "quay.io/a/b:1": first}, false, 1, "ghcr.io/a/b:1 serves nothing"},
		"unreachable":      {map[string]string{"ghcr.io/a/b:1": first}, false, 2, "quay.io/a/b:1 could not be asked for: unreachable"},
		"moved, and other": {map[string]string{"ghcr.io/a/b:1": second}, false, 1, "0 of 2 references serve what was published, 1 differ, 1 could not be asked for"},
		"truncated":        {map[string]string{"ghcr.io/a/b:1": first, "quay.io/a/b:1": first}, true, 2, "truncated"},
	} {
		receipt, err := ParseReceipt("x", `{"digest":"`+first+`","registries":[{"references":[{"reference":"ghcr.io/a/b:1","status":"pushed"},{"reference":"quay.io/a/b:1","status":"unchanged"}]}]}`)
		if err != nil {
			t.Fatal(err)
		}
		receipt.Truncated = c.truncated
		findings := Run(t.Context(), receipt, func(_ context.Context, p Published) (string, error) {
			if digest, ok := c.served[p.Reference.String()]; ok {
				return digest, nil
			}
			return "", unreachable
		})
		text := Summary(receipt, findings)
		for _, f := range findings {
			text += "\n" + f.String()
		}
		if status := ExitStatus(receipt, findings); status != c.status || !strings.Contains(text, c.says) {
			t.Errorf("%s: exit status %d\n%s", name, status, text)
		}
	}
	if status := ExitStatus(Receipt{}, nil); status != 2 {
		t.Errorf("of nothing: exit status %d", status)
	}
}

func FuzzParseReceipt(f *testing.F) {
	f.Add(`{"digest":"` + first + `","registries":[{"references":[{"reference":"ghcr.io/a/b:1","status":"pushed"}]}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		receipt, err := ParseReceipt("x", text)
		for _, p := range receipt.Published {
			if err != nil || p.Digest == "" || p.Reference.Host == "" {
				t.Errorf("%q: %+v, %v", text, p, err)
			}
		}
	})
}
