package registry

import "testing"

func FuzzRangeAndLocation(f *testing.F) {
	f.Add("0-41", "bytes 5-9/10", `</v2/x>; rel="next"`)
	f.Add("0--1", "bytes */10", "<")
	f.Add("bytes=0-9223372036854775807", "bytes -1-2/3", "<>")
	f.Fuzz(func(t *testing.T, span, content, link string) {
		if n := received(span); n < 0 || n == 1 {
			t.Errorf("received(%q) = %d", span, n)
		}
		if n, ok := contentRangeStart(content); ok && n < 0 {
			t.Errorf("contentRangeStart(%q) = %d", content, n)
		}
		nextLink(link)
	})
}
