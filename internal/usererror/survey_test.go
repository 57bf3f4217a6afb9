package usererror

import (
	"go/ast"
	"go/token"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// surveyor reads the program's source for what it can say.
type surveyor struct {
	codes     map[string]Code   // by the names of their constants
	used      map[Code]bool     // somewhere
	messages  map[Code][]string // of usererror.New and errors with a kind, … for what is known at run time only
	diagnosed map[Code]bool     // made by a function that looks at an error
	doings    []string          // what the messages of those say

	// The package that is being read.
	functions map[string][]*ast.FuncDecl
	constants map[string]string
	kinds     map[string]string   // the constants of the type Kind, or ErrorKind
	fields    map[string][]string // of the structs
	whats     map[string][]string // by function: what its composite literals put into a field of this name, of an error
	wrappers  map[string][]site
}

// site is a place that makes a problem, as its caller sees it. In what, hole(i) stands for
// the function's parameter i.
type site struct {
	code Code // "" if it is parameter codeParam
	// codeParam is -1 if the code is known.
	codeParam int
	diagnosed bool
	what      string
}

func newSurveyor(codes map[string]Code) *surveyor {
	return &surveyor{codes: codes, used: map[Code]bool{}, messages: map[Code][]string{}, diagnosed: map[Code]bool{}}
}

// survey reads one package: the calls of usererror.New and the errors that have a kind in place of a
// code, then the calls of those of its functions that pass their parameters on to one, and so on.
func (s *surveyor) survey(files []*ast.File) {
	s.index(files)
	s.calls(func(f *ast.FuncDecl, call *ast.CallExpr) {
		if isSelector(call.Fun, "usererror", "New") && len(call.Args) > 2 {
			for _, made := range s.codesOf(f, call.Args[0]) {
				for _, made.what = range s.texts(f, call.Args[2]) {
					s.note(f, made)
				}
			}
		}
	})
	s.composites(func(f *ast.FuncDecl, values map[string]ast.Expr) {
		front, what := "", values["What"]
		if what == nil {
			front, what = "…: ", values["Operation"] // behind the repository
		}
		if values["Kind"] == nil || what == nil {
			return
		}
		for _, made := range s.codesOf(f, values["Kind"]) {
			for _, text := range s.texts(f, what) {
				made.what = front + text
				s.note(f, made)
			}
		}
	})
	for known := -1; known != s.known(); {
		known = s.known()
		s.calls(func(f *ast.FuncDecl, call *ast.CallExpr) {
			for _, w := range s.wrappers[called(call)] {
				for _, made := range s.through(f, call, w) {
					s.note(f, made)
				}
			}
		})
	}
	// Of what nobody in the package calls, or others call too, the callers are not known.
	inside := map[string]bool{}
	s.calls(func(_ *ast.FuncDecl, call *ast.CallExpr) { inside[called(call)] = true })
	for name, sites := range s.wrappers {
		for _, made := range sites {
			if made.codeParam < 0 && (ast.IsExported(name) || !inside[name]) {
				s.say(made)
			}
		}
	}
}

func (s *surveyor) known() (n int) {
	for _, sites := range s.wrappers {
		n += len(sites)
	}
	return n
}

// index notes what the package declares, and which codes it names.
func (s *surveyor) index(files []*ast.File) {
	s.functions, s.wrappers, s.whats = map[string][]*ast.FuncDecl{}, map[string][]site{}, map[string][]string{}
	s.constants, s.kinds, s.fields = map[string]string{}, map[string]string{}, map[string][]string{}
	for _, f := range files {
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Body != nil {
					s.functions[d.Name.Name] = append(s.functions[d.Name.Name], d)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					if v, ok := spec.(*ast.ValueSpec); ok && d.Tok == token.CONST && len(v.Values) == 1 {
						if text, ok := literal(v.Values[0]); ok {
							s.constants[v.Names[0].Name] = text
							if of, ok := v.Type.(*ast.Ident); ok && (of.Name == "Kind" || of.Name == "ErrorKind") {
								s.kinds[v.Names[0].Name] = text
							}
						}
					}
				}
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if n, ok := n.(*ast.TypeSpec); ok {
				if t, ok := n.Type.(*ast.StructType); ok {
					for _, field := range t.Fields.List {
						for _, name := range field.Names {
							s.fields[n.Name.Name] = append(s.fields[n.Name.Name], name.Name)
						}
					}
				}
			}
			return true
		})
	}
	for _, f := range files {
		ast.Inspect(f, func(n ast.Node) bool {
			if d, ok := n.(*ast.GenDecl); ok && d.Tok == token.CONST { // that declares a kind, and does not use it
				return false
			}
			if e, ok := n.(ast.Expr); ok {
				if code, ok := s.code(e); ok {
					s.used[code] = true
				}
			}
			return true
		})
	}
	s.composites(func(f *ast.FuncDecl, values map[string]ast.Expr) {
		if values["what"] == nil {
			return
		}
		for _, text := range s.texts(f, values["what"]) {
			if !strings.Contains(text, "\x00") && known(text) {
				s.whats[f.Name.Name] = append(s.whats[f.Name.Name], text)
			}
		}
	})
}

// composites visits the structs that functions make, with their fields' values.
func (s *surveyor) composites(visit func(*ast.FuncDecl, map[string]ast.Expr)) {
	for _, all := range s.functions {
		for _, f := range all {
			ast.Inspect(f.Body, func(n ast.Node) bool {
				c, ok := n.(*ast.CompositeLit)
				if !ok {
					return true
				}
				values := map[string]ast.Expr{}
				for i, e := range c.Elts {
					if pair, ok := e.(*ast.KeyValueExpr); ok {
						if key, ok := pair.Key.(*ast.Ident); ok {
							values[key.Name] = pair.Value
						}
					} else if id, ok := c.Type.(*ast.Ident); ok && i < len(s.fields[id.Name]) {
						values[s.fields[id.Name][i]] = e
					}
				}
				visit(f, values)
				return true
			})
		}
	}
}

func (s *surveyor) calls(visit func(*ast.FuncDecl, *ast.CallExpr)) {
	for _, all := range s.functions {
		for _, f := range all {
			ast.Inspect(f.Body, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok {
					visit(f, call)
				}
				return true
			})
		}
	}
}

// through returns what a call of a wrapper makes.
func (s *surveyor) through(f *ast.FuncDecl, call *ast.CallExpr, w site) []site {
	made := []site{w}
	if w.codeParam >= 0 {
		if w.codeParam >= len(call.Args) {
			return nil
		}
		made = s.codesOf(f, call.Args[w.codeParam])
	}
	whats := []string{w.what}
	for i, arg := range call.Args {
		if strings.Contains(w.what, hole(i)) {
			whats = replaced(whats, hole(i), mark(s.texts(f, arg)))
		}
	}
	var all []site
	for _, m := range made {
		for _, m.what = range whats {
			m.what = holes.ReplaceAllString(m.what, "…") // a parameter that this call leaves out
			m.what = strings.ReplaceAll(m.what, "\x01", "\x00")
			all = append(all, m)
		}
	}
	return all
}

// note keeps what a place in f makes: as a message, or for the callers of f.
func (s *surveyor) note(f *ast.FuncDecl, made site) {
	if made.codeParam >= 0 || strings.Contains(made.what, "\x00") {
		if name := f.Name.Name; !slices.Contains(s.wrappers[name], made) {
			s.wrappers[name] = append(s.wrappers[name], made)
		}
		return
	}
	s.say(made)
}

// say keeps a message.
func (s *surveyor) say(made site) {
	message := strings.ReplaceAll(verb.ReplaceAllString(holes.ReplaceAllString(made.what, "…"), "…"), "%%", "%")
	switch {
	case made.diagnosed:
		s.diagnosed[made.code] = true
		if _, doing, ok := strings.Cut(message, ": "); ok && known(doing) {
			s.doings = append(s.doings, doing)
		}
	case known(message):
		s.messages[made.code] = append(s.messages[made.code], message)
	}
}

// known reports whether anything of a message is known before run time.
func known(message string) bool { return strings.Trim(message, "… :,\"") != "" }

// codesOf returns the codes that an expression in f can be.
func (s *surveyor) codesOf(f *ast.FuncDecl, e ast.Expr) []site {
	if code, ok := s.code(e); ok {
		return []site{{code: code, codeParam: -1}}
	}
	id, ok := e.(*ast.Ident)
	if !ok {
		return nil
	}
	var all []site
	if i := param(f, id.Name); i >= 0 {
		all = append(all, site{codeParam: i})
	}
	for _, value := range assigned(f, id.Name) {
		if call, ok := value.(*ast.CallExpr); ok {
			for _, f := range s.within(called(call)) {
				ast.Inspect(f.Body, func(n ast.Node) bool {
					if e, ok := n.(ast.Expr); ok {
						if code, ok := s.code(e); ok {
							all = append(all, site{code: code, codeParam: -1, diagnosed: true})
						}
					}
					return true
				})
			}
		} else if code, ok := s.code(value); ok {
			all = append(all, site{code: code, codeParam: -1})
		}
	}
	return all
}

// within returns a function and those of the package that it calls.
func (s *surveyor) within(name string) (all []*ast.FuncDecl) {
	seen := map[string]bool{}
	for left := []string{name}; len(left) > 0; left = left[1:] {
		if seen[left[0]] {
			continue
		}
		seen[left[0]] = true
		for _, f := range s.functions[left[0]] {
			all = append(all, f)
			ast.Inspect(f.Body, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok {
					left = append(left, called(call))
				}
				return true
			})
		}
	}
	return all
}

func (s *surveyor) code(e ast.Expr) (Code, bool) {
	if sel, ok := e.(*ast.SelectorExpr); ok && isSelector(e, "usererror", sel.Sel.Name) {
		code, ok := s.codes[sel.Sel.Name]
		return code, ok
	}
	if id, ok := e.(*ast.Ident); ok {
		code := explain(s.kinds[id.Name]).code
		return code, slices.Contains(slices.Collect(maps.Values(s.codes)), code)
	}
	return "", false
}

// texts returns what is known of a string expression in f: one text for each value that it
// can have.
func (s *surveyor) texts(f *ast.FuncDecl, e ast.Expr) []string {
	if text, ok := literal(e); ok {
		return []string{text}
	}
	switch e := e.(type) {
	case *ast.BinaryExpr:
		return replaced(replaced([]string{"\x02\x03"}, "\x02", s.texts(f, e.X)), "\x03", s.texts(f, e.Y))
	case *ast.ParenExpr:
		return s.texts(f, e.X)
	case *ast.SelectorExpr:
		if e.Sel.Name == "what" && len(s.whats) > 0 {
			return slices.Concat(slices.Collect(maps.Values(s.whats))...)
		}
	case *ast.CallExpr:
		switch {
		case isSelector(e.Fun, "fmt", "Sprintf"):
			return s.formatted(f, e.Args)
		case called(e) == "Error":
			return s.said(f, e)
		}
	case *ast.Ident:
		return s.named(f, e.Name)
	}
	return []string{"…"}
}

// said returns the texts of err.Error(), where err comes from functions of the package.
func (s *surveyor) said(f *ast.FuncDecl, call *ast.CallExpr) (all []string) {
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return []string{"…"}
	}
	if err, ok := sel.X.(*ast.Ident); ok {
		for _, value := range assigned(f, err.Name) {
			if from, ok := value.(*ast.CallExpr); ok {
				for _, f := range s.within(called(from)) {
					all = append(all, s.whats[f.Name.Name]...)
				}
			}
		}
	}
	if len(all) == 0 {
		return []string{"…"}
	}
	return all
}

// named returns the texts that a name stands for in f.
func (s *surveyor) named(f *ast.FuncDecl, name string) []string {
	var all []string
	if i := param(f, name); i >= 0 {
		all = append(all, hole(i))
	} else if text, ok := s.constants[name]; ok {
		return []string{text}
	}
	for _, value := range assigned(f, name) {
		if call, ok := value.(*ast.CallExpr); ok {
			all = append(all, s.returned(called(call))...)
		}
		if !mentions(value, name) {
			all = append(all, s.texts(f, value)...)
		}
	}
	for i, text := range all {
		if !strings.Contains(text, " ") && !holes.MatchString(text) {
			all[i] = "…" // data, not words
		}
	}
	if all = sorted(all); len(all) > 1 {
		all = slices.DeleteFunc(all, func(text string) bool { return !strings.Contains(text, "\x00") && !known(text) })
	}
	if len(all) == 0 {
		return []string{"…"}
	}
	return all
}

// returned are the literals that a function of the package returns.
func (s *surveyor) returned(name string) (all []string) {
	for _, f := range s.functions[name] {
		ast.Inspect(f.Body, func(n ast.Node) bool {
			if r, ok := n.(*ast.ReturnStmt); ok && len(r.Results) > 0 {
				if text, ok := literal(r.Results[0]); ok && text != "" {
					all = append(all, text)
				}
			}
			return true
		})
	}
	return all
}

// formatted returns the texts of fmt.Sprintf: arguments that are known stand in place of
// their verbs.
func (s *surveyor) formatted(f *ast.FuncDecl, args []ast.Expr) []string {
	all := s.texts(f, args[0])
	if _, ok := literal(args[0]); !ok {
		return all
	}
	i := 0
	format := verb.ReplaceAllStringFunc(all[0], func(v string) string {
		i++
		if v == "%s" || v == "%v" {
			return "\x04" + strconv.Itoa(i) + "\x04"
		}
		return "…"
	})
	all = []string{format}
	for i := 1; i < len(args); i++ {
		if place := "\x04" + strconv.Itoa(i) + "\x04"; strings.Contains(format, place) {
			all = replaced(all, place, s.texts(f, args[i]))
		}
	}
	return all
}

var (
	verb  = regexp.MustCompile(`%[-+# 0-9.*\[\]]*[a-zA-Z]`)
	holes = regexp.MustCompile("\x00\\d+\x00")
)

// hole stands for a parameter.
func hole(i int) string { return "\x00" + strconv.Itoa(i) + "\x00" }

// mark keeps the holes of a caller apart from those of the function that it calls.
func mark(texts []string) []string { return replaced(texts, "\x00", []string{"\x01"}) }

// replaced puts every one of by in the place of old in every one of texts.
func replaced(texts []string, old string, by []string) (all []string) {
	for _, text := range texts {
		for _, b := range by {
			all = append(all, strings.ReplaceAll(text, old, b))
		}
	}
	return sorted(all)
}

func literal(e ast.Expr) (string, bool) {
	if lit, ok := e.(*ast.BasicLit); ok && lit.Kind == token.STRING {
		s, err := strconv.Unquote(lit.Value)
		return s, err == nil
	}
	return "", false
}

func isSelector(e ast.Expr, pkg, name string) bool {
	sel, ok := e.(*ast.SelectorExpr)
	if !ok || sel.Sel.Name != name {
		return false
	}
	id, ok := sel.X.(*ast.Ident)
	return ok && id.Name == pkg
}

// called is the name of the function or method that is called.
func called(call *ast.CallExpr) string {
	switch f := call.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		return f.Sel.Name
	}
	return ""
}

// param returns which parameter of f has this name, or -1.
func param(f *ast.FuncDecl, name string) int {
	i := 0
	for _, field := range f.Type.Params.List {
		for _, n := range field.Names {
			if n.Name == name {
				return i
			}
			i++
		}
	}
	return -1
}

// assigned returns what f assigns to a variable.
func assigned(f *ast.FuncDecl, name string) (all []ast.Expr) {
	ast.Inspect(f.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ValueSpec:
			if len(n.Values) == 1 && n.Names[0].Name == name {
				all = append(all, n.Values[0])
			}
		case *ast.AssignStmt:
			for i, left := range n.Lhs {
				if id, ok := left.(*ast.Ident); ok && id.Name == name && n.Tok != token.ADD_ASSIGN {
					all = append(all, n.Rhs[min(i, len(n.Rhs)-1)])
				}
			}
		}
		return true
	})
	return all
}

// mentions reports whether e names a variable.
func mentions(e ast.Expr, name string) (found bool) {
	ast.Inspect(e, func(n ast.Node) bool {
		id, ok := n.(*ast.Ident)
		found = found || ok && id.Name == name
		return true
	})
	return found
}
