package house

import (
	"go/ast"
	"go/token"
	"strings"
	"testing"
)

// onlyTested are functions that only tests of other packages, and examples, call, each with its
// reason.
var onlyTested = map[string]string{
	"internal/retry/clocktest.New": "the clock that all tests hold",
	"internal/source.NewImage":     "an image that is no file, for tests of publish",
	"internal/source.Parse":        "the example of the package begins with it",
	"internal/report.Headline":     "read beside Table, Markdown and JSON: what a result is told by",
	"internal/report.Table":        "read beside Headline, Markdown and JSON: what a result is told by",
}

// TestSurface: functions that a package exports, another one calls, tests aside; and all that
// it exports has a doc comment. Types and values may be named for their readers; methods may be
// what an interface wants.
func TestSurface(t *testing.T) {
	all := files(t)
	used := map[string]bool{} // "internal/registry.Client"
	for _, f := range all {
		imported := map[string]string{}
		for _, i := range f.tree.Imports {
			path, ours := strings.CutPrefix(strings.Trim(i.Path.Value, `"`), module)
			if ours {
				imported[path[strings.LastIndex(path, "/")+1:]] = path
			}
		}
		ast.Inspect(f.tree, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				if id, ok := s.X.(*ast.Ident); ok && imported[id.Name] != "" {
					used[imported[id.Name]+"."+s.Sel.Name] = true
				}
			}
			return true
		})
	}
	for _, f := range all {
		if f.room() == "main" {
			continue
		}
		for _, d := range f.tree.Decls {
			for _, e := range exports(d) {
				at := f.set.Position(e.name.Pos())
				if !e.documented {
					t.Errorf("%s: %s has no doc comment", at, e.name)
				}
				if name := "internal/" + f.room() + "." + e.name.Name; e.function && !used[name] && onlyTested[name] == "" {
					t.Errorf("%s: nobody else uses %s", at, e.name)
				}
			}
		}
	}
}

// export is a name that a declaration exports.
type export struct {
	name                 *ast.Ident
	documented, function bool
}

// exports returns what a declaration exports.
func exports(d ast.Decl) (all []export) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && (d.Recv == nil || receiverIsExported(d)) {
			all = append(all, export{d.Name, d.Doc != nil || isOfError(d), d.Recv == nil})
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				if spec.Name.IsExported() {
					all = append(all, export{name: spec.Name, documented: d.Doc != nil || spec.Doc != nil})
				}
			case *ast.ValueSpec:
				for _, name := range spec.Names {
					if name.IsExported() && d.Tok != token.IMPORT {
						documented := d.Doc != nil || spec.Doc != nil || spec.Comment != nil
						all = append(all, export{name: name, documented: documented})
					}
				}
			}
		}
	}
	return all
}

// isOfError reports whether a method is one of the interface error, or of what errors unwraps:
// what it does, its name says.
func isOfError(d *ast.FuncDecl) bool {
	return d.Recv != nil && (d.Name.Name == "Error" || d.Name.Name == "Unwrap" || d.Name.Name == "Is")
}

func receiverIsExported(d *ast.FuncDecl) bool {
	of := d.Recv.List[0].Type
	if star, ok := of.(*ast.StarExpr); ok {
		of = star.X
	}
	id, ok := of.(*ast.Ident)
	return ok && id.IsExported()
}
