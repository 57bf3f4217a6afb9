package jsondoc

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// Limits of a document. The shortest real descriptor takes some hundred bytes, so that
// 4 MiB, the largest manifest, hold 40,000; but 4 MiB of null hold 840,000, and each would
// take as much memory as a descriptor.
const (
	MaxElements = 40_000  // elements of all arrays together
	MaxMembers  = 200_000 // members of all objects together
	MaxDepth    = 64
)

// ErrTooMany is the error of a document with more elements, members or levels than a real
// one has.
var ErrTooMany = errors.New("too many values")

// ErrAmbiguous is the error of a document that can be read in two ways.
var ErrAmbiguous = errors.New("it can be read in two ways")

// Unmarshal is json.Unmarshal for a document from outside. Whatever its values are, they
// are counted before any is kept; the error of too many wraps ErrTooMany.
func Unmarshal(raw []byte, into any) error {
	if _, err := scan(raw, nil, false); err != nil {
		return err
	}
	return json.Unmarshal(raw, into)
}

// UnmarshalStrict is Unmarshal for a document whose bytes are published or decide what is.
// It refuses, with an error that wraps ErrAmbiguous, names that come twice in an object,
// and names that differ from a field of into only in case (Unicode's simple folding, as
// encoding/json matches them): readers that match exactly would ignore those. What is no
// field of into, and what stands in a map such as annotations, may be called anything.
func UnmarshalStrict(raw []byte, into any) error {
	if _, err := scan(raw, reflect.TypeOf(into), true); err != nil {
		return err
	}
	return json.Unmarshal(raw, into)
}

// Elements counts the elements of all arrays in a valid document.
func Elements(raw []byte) (int, error) { return scan(raw, nil, false) }

// scan counts and checks a document without keeping any of it.
func scan(raw []byte, into reflect.Type, strict bool) (elements int, err error) {
	if !json.Valid(raw) {
		var v json.RawMessage
		if err := json.Unmarshal(raw, &v); err != nil {
			return 0, err
		}
		return 0, errors.New("not JSON")
	}
	s := scanner{raw: raw, strict: strict}
	if err := s.value(into); err != nil {
		return 0, err
	}
	for s.at < len(raw) && len(s.stack) > 0 {
		if err := s.step(); err != nil {
			return 0, err
		}
	}
	return s.elements, nil
}

// scanner walks through a valid document.
type scanner struct {
	raw    []byte
	at     int
	strict bool

	stack             []level
	names             []string // of all objects on the stack, the innermost's last
	elements, members int
}

// level is an array or object that is open.
type level struct {
	object bool
	of     reflect.Type    // what it is read into; nil for anything
	first  int             // index of its first name
	many   map[string]bool // its names, once there are more than a few
	fields map[string]reflect.Type
}

// few is up to how many names are compared one by one.
const few = 16

// step reads one element or member of the innermost array or object, or its end.
func (s *scanner) step() error {
	top := &s.stack[len(s.stack)-1]
	s.space()
	switch s.raw[s.at] {
	case ',':
		s.at++
		return nil
	case ']', '}':
		s.at++
		s.names = s.names[:top.first]
		s.stack = s.stack[:len(s.stack)-1]
		return nil
	}
	if !top.object {
		if s.elements++; s.elements > MaxElements {
			return fmt.Errorf("%w: more than %d elements of arrays", ErrTooMany, MaxElements)
		}
		return s.value(elementOf(top.of))
	}
	if s.members++; s.members > MaxMembers {
		return fmt.Errorf("%w: more than %d members of objects", ErrTooMany, MaxMembers)
	}
	name := s.name()
	s.space()
	s.at++ // the colon
	var of reflect.Type
	if s.strict {
		var err error
		if of, err = s.member(top, name); err != nil {
			return err
		}
	}
	return s.value(of)
}

// value skips a value, or opens the array or object that it is.
func (s *scanner) value(of reflect.Type) error {
	s.space()
	switch s.raw[s.at] {
	case '{', '[':
		if len(s.stack) == MaxDepth {
			return fmt.Errorf("%w: more than %d levels", ErrTooMany, MaxDepth)
		}
		l := level{object: s.raw[s.at] == '{', of: plain(of), first: len(s.names)}
		if l.object && l.of != nil {
			l.fields = fieldsOf(l.of)
		}
		s.stack = append(s.stack, l)
		s.at++
	case '"':
		s.text()
	default: // a number or a literal
		for s.at < len(s.raw) && !strings.ContainsRune(",]} \t\r\n", rune(s.raw[s.at])) {
			s.at++
		}
	}
	return nil
}

func (s *scanner) space() {
	for s.at < len(s.raw) && strings.IndexByte(" \t\r\n", s.raw[s.at]) >= 0 {
		s.at++
	}
}

// text skips a string and returns it with its quotes.
func (s *scanner) text() []byte {
	start := s.at
	for s.at++; s.raw[s.at] != '"'; s.at++ {
		if s.raw[s.at] == '\\' {
			s.at++
		}
	}
	s.at++
	return s.raw[start:s.at]
}

// name reads the name of a member, as encoding/json understands it.
func (s *scanner) name() string {
	quoted := s.text()
	if !s.strict {
		return ""
	}
	for _, c := range quoted[1 : len(quoted)-1] {
		if c == '\\' || c >= 0x80 {
			var name string
			_ = json.Unmarshal(quoted, &name) // it is valid
			return name
		}
	}
	return string(quoted[1 : len(quoted)-1])
}

// member checks a name, and returns the type that its value is read into.
func (s *scanner) member(l *level, name string) (reflect.Type, error) {
	own := s.names[l.first:]
	twice := l.many[name]
	if l.many == nil {
		for _, other := range own {
			twice = twice || other == name
		}
	}
	if twice {
		return nil, fmt.Errorf("%w: an object names %q twice", ErrAmbiguous, short(name))
	}
	switch {
	case l.many != nil:
		l.many[name] = true
	case len(own) == few:
		l.many = make(map[string]bool, 2*few)
		for _, other := range own {
			l.many[other] = true
		}
		l.many[name] = true
	default:
		s.names = append(s.names, name)
	}
	if l.fields == nil {
		return elementOf(l.of), nil
	}
	if of, known := l.fields[name]; known {
		return of, nil
	}
	for field := range l.fields {
		if strings.EqualFold(field, name) {
			return nil, fmt.Errorf("%w: an object names %q in place of %q", ErrAmbiguous, short(name), field)
		}
	}
	return nil, nil
}

func short(name string) string {
	const most = 60
	if len(name) > most {
		return name[:most] + "…"
	}
	return name
}
