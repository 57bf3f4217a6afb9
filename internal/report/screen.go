package report

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/mattn/go-runewidth"
)

// screen is the part of a terminal that bars are drawn on, below the log. It implements
// [mpb.ConsoleWriter]: each flush takes the lines away that the last one drew. Terminals
// wrap lines anew when their window is narrowed, so that a line may have become several
// rows since; mpb's own writer would leave some of them behind.
type screen struct {
	bytes.Buffer
	out   io.Writer
	width func() int // in columns, asked before each drawing
	drawn []int      // the columns of each line that is there now
}

// IsTerminal implements [mpb.ConsoleWriter].
func (s *screen) IsTerminal() bool { return true }

// GetTermSize implements [mpb.ConsoleWriter]. Bars are few: their number is not bounded by
// the height.
func (s *screen) GetTermSize() (width, height int, err error) {
	return max(s.columns(), narrowest), 1000, nil
}

// columns is the width, 100 where it is not known.
func (s *screen) columns() int {
	if width := s.width(); width > 0 {
		return width
	}
	return 100
}

// Flush implements [mpb.ConsoleWriter]: lines is how many of those in the buffer are bars,
// which the next flush takes away.
func (s *screen) Flush(lines int) error {
	text := s.String()
	s.Reset()
	_, err := io.WriteString(s.out, s.erasure()+text)
	all := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	s.drawn = nil
	for _, line := range all[max(len(all)-lines, 0):] {
		s.drawn = append(s.drawn, runewidth.StringWidth(line))
	}
	if lines <= 0 {
		s.drawn = nil
	}
	return err
}

// clear takes the bars away.
func (s *screen) clear() error {
	_, err := io.WriteString(s.out, s.erasure())
	s.drawn = nil
	return err
}

// erasure moves the cursor to the first of the rows that the drawn lines take at the
// width of now, and erases from there (ECMA-48: CUU, ED).
func (s *screen) erasure() string {
	rows, width := 0, s.columns()
	for _, columns := range s.drawn {
		rows += max((columns+width-1)/width, 1)
	}
	if rows == 0 {
		return ""
	}
	return fmt.Sprintf("\r\x1b[%dA\x1b[J", rows)
}
