package report

import (
	"strings"

	"github.com/multi-registry-push/multi-registry-push/internal/redact"
)

// paragraph is a part of a remedy: sentences, or lines to be pasted as they are.
type paragraph struct {
	text  string
	lines []string // a block; text is empty then
}

// paragraphs takes a remedy apart. Lines that are indented by two spaces or more, or by a
// tab, and lines between fences (three backticks), are a block, as in Markdown.
func paragraphs(remedy redact.Redacted) []paragraph {
	var all []paragraph
	var block []string
	fence := false
	end := func() {
		for len(block) > 0 && strings.TrimSpace(block[len(block)-1]) == "" {
			block = block[:len(block)-1]
		}
		if len(block) > 0 {
			all = append(all, paragraph{lines: dedented(block)})
		}
		block = nil
	}
	for line := range strings.Lines(string(remedy)) {
		line = strings.TrimRight(line, " \t\r\n")
		switch {
		case strings.HasPrefix(strings.TrimSpace(line), "```"):
			end()
			fence = !fence
		case fence, strings.HasPrefix(line, "  "), strings.HasPrefix(line, "\t"), line == "" && len(block) > 0:
			block = append(block, line)
		default:
			end()
			if line = oneLine(line); line != "" {
				all = append(all, paragraph{text: line})
			}
		}
	}
	end()
	return all
}

// dedented takes the indentation away that all lines share.
func dedented(lines []string) []string {
	margin := -1
	for _, line := range lines {
		if trimmed := strings.TrimLeft(line, " \t"); trimmed != "" {
			if n := len(line) - len(trimmed); margin < 0 || n < margin {
				margin = n
			}
		}
	}
	out := make([]string, len(lines))
	for i, line := range lines {
		out[i] = line[min(max(margin, 0), len(line)):]
	}
	return out
}
