package report

import (
	"strings"
	"testing"
)

func TestProse(t *testing.T) {
	for in, want := range map[string]string{
		"plain text, 1.2-3/4":     "plain text, 1.2-3/4",
		"a|b":                     "a&#124;b",
		"`x`":                     "&#96;x&#96;",
		"<img src=x>":             "&#60;img src=x&#62;",
		"@octocat":                "<span>&#64;</span>octocat",
		"#123 and GH-7":           "<span>&#35;</span>123 and GH<span>-</span>7",
		"https://evil.example":    "https&#58;//evil.example",
		"www.evil.example":        "www&#46;evil.example",
		"[x](y)":                  "&#91;x&#93;&#40;y&#41;",
		"*a* _b_ ~~c~~":           "&#42;a&#42; &#95;b&#95; &#126;&#126;c&#126;&#126;",
		"&lt;":                    "&#38;lt&#59;",
		":tada:":                  "<span>&#58;</span>tada:",
		"$x$":                     "<span>&#36;</span>x<span>&#36;</span>",
		"two\nlines\r\n":          "two lines  ",
		"\x1b[31m":                "&#92;u001b&#91;31m",
		"evil\u202etxt\u200b":     "evil&#92;u202etxt&#92;u200b",
		"\xff\xfe":                "\uFFFD",
		"größe 日本":                "größe 日本",
		"--> -- <!-- comment -->": "--&#62; -- &#60;&#33;-- comment --&#62;",
	} {
		if got := prose(in); got != want {
			t.Errorf("prose(%q) is %q, want %q", in, got, want)
		}
	}
}

func TestFencedCannotBeLeft(t *testing.T) {
	got := fenced("sh", "a```\nb", "````")
	if !strings.HasPrefix(got, "`````sh\n") || !strings.HasSuffix(got, "\n`````\n") || strings.Count(got, "\n") != 4 {
		t.Errorf("got %q", got)
	}
}

func TestTickedKeepsQuotesAndEscapesThem(t *testing.T) {
	if got := ticked("set `a<b` now"); got != "set <code>a&#60;b</code> now" {
		t.Errorf("got %q", got)
	}
	if got := ticked("an odd ` tick"); got != "an odd &#96; tick" {
		t.Errorf("got %q", got)
	}
}

func FuzzProse(f *testing.F) {
	f.Add("a|b`<@#")
	f.Fuzz(func(t *testing.T, s string) {
		for _, text := range []string{prose(s), code(s), ticked(s)} {
			plain := strings.NewReplacer("<span>", "", "</span>", "", "<code>", "", "</code>", "").Replace(text)
			if strings.ContainsAny(plain, "|`<>@*_[]~\n\r\x1b") {
				t.Errorf("%q became %q", s, text)
			}
		}
	})
}
