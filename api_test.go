package rollcall_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const apiListings = "testdata/api"

var rewrite = flag.Bool("rewrite", false, "record the exported API in "+apiListings)

// Each public package exports what its listing records, so that an API change shows
// up in review. Listings follow the format of $GOROOT/api, with parameter names.
func TestExportedAPIMatchesItsListings(t *testing.T) {
	exported := exportedAPI(t)
	if *rewrite {
		require.NoError(t, os.RemoveAll(apiListings))
		for name, lines := range exported {
			file := filepath.Join(apiListings, name+".txt")
			require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
			require.NoError(t, os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o644))
		}
	}
	changes := apiChanges(listedAPI(t), slices.Concat(slices.Collect(maps.Values(exported))...))
	if len(changes) > 0 {
		t.Errorf("the exported API differs from %s:\n%s\nif this is intended, run `make api` and commit the result",
			apiListings, strings.Join(changes, "\n"))
	}
}

// exportedAPI returns the listing of each public package. The key is the import
// path without the module, or the module's last element for the root package.
func exportedAPI(t *testing.T) map[string][]string {
	t.Helper()
	t.Setenv("GOOS", "linux") // the listings do not depend on the system
	exportData := map[string]string{}
	for _, line := range goList(t, "-export", "-f", "{{.ImportPath}},{{.Name}},{{.Export}}", "./...") {
		fields := strings.SplitN(line, ",", 3)
		importPath, name, file := fields[0], fields[1], fields[2]
		// The go command caches a test result until a file or directory changes
		// that the test process opened. It does not see what go list reads.
		_, err := os.ReadDir("." + strings.TrimPrefix(importPath, module))
		require.NoError(t, err)
		if file != "" && name != "main" && !strings.Contains(importPath+"/", "/internal/") {
			exportData[importPath] = file
		}
	}
	imports := importer.ForCompiler(token.NewFileSet(), "gc", func(importPath string) (io.ReadCloser, error) {
		return os.Open(exportData[importPath])
	})
	api := map[string][]string{}
	for importPath := range exportData {
		pkg, err := imports.Import(importPath)
		require.NoError(t, err)
		name := path.Base(module)
		if importPath != module {
			name = strings.TrimPrefix(importPath, module+"/")
		}
		api[name] = list(pkg, name)
	}
	return api
}

func listedAPI(t *testing.T) []string {
	t.Helper()
	var lines []string
	require.NoError(t, filepath.WalkDir(apiListings, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(file)
		lines = append(lines, strings.Split(strings.TrimSpace(string(text)), "\n")...)
		return err
	}))
	return lines
}

// apiChanges returns the lines that only exported has, marked with "+", and those
// that only listed has, marked with "-".
func apiChanges(listed, exported []string) []string {
	var changes []string
	for _, line := range listed {
		if !slices.Contains(exported, line) {
			changes = append(changes, "- "+line)
		}
	}
	for _, line := range exported {
		if !slices.Contains(listed, line) {
			changes = append(changes, "+ "+line)
		}
	}
	// Sorting by the text puts the two forms of a changed declaration together.
	slices.SortFunc(changes, func(a, b string) int { return strings.Compare(a[2:], b[2:]) })
	return changes
}

// listing collects one line for the package and one for each exported declaration,
// field and method.
type listing struct {
	pkg   *types.Package
	name  string
	lines []string
}

// list returns the sorted lines of pkg, which is called name in them.
func list(pkg *types.Package, name string) []string {
	l := &listing{pkg: pkg, name: name, lines: []string{"pkg " + name}}
	for _, name := range pkg.Scope().Names() {
		object := pkg.Scope().Lookup(name)
		if !object.Exported() {
			continue
		}
		switch object := object.(type) {
		case *types.Const:
			l.add("%s = %s", types.ObjectString(object, l.qualifier), object.Val().ExactString())
		case *types.TypeName:
			if alias, ok := object.Type().(*types.Alias); ok {
				l.add("type %s = %s", name, l.text(alias.Rhs()))
			} else {
				l.addType(object.Type())
			}
		default:
			l.add("%s", types.ObjectString(object, l.qualifier))
		}
	}
	slices.Sort(l.lines)
	return slices.Compact(l.lines)
}

func (l *listing) add(format string, args ...any) {
	l.lines = append(l.lines, "pkg "+l.name+", "+fmt.Sprintf(format, args...))
}

func (l *listing) addType(t types.Type) {
	head := "type " + l.text(t) // with type parameters
	switch underlying := t.Underlying().(type) {
	case *types.Struct:
		l.add("%s struct", head)
		for field := range underlying.Fields() {
			switch {
			case !field.Exported():
			case field.Embedded():
				l.add("%s struct, embedded %s", head, l.text(field.Type()))
			default:
				l.add("%s struct, %s %s", head, field.Name(), l.text(field.Type()))
			}
		}
	case *types.Interface:
		l.add("%s interface", head)
		if !underlying.IsMethodSet() { // a constraint
			l.add("%s %s", head, l.text(underlying))
		}
		for method := range underlying.Methods() {
			if method.Exported() {
				l.add("%s interface, %s%s", head, method.Name(), strings.TrimPrefix(l.text(method.Type()), "func"))
			} else {
				l.add("%s interface, unexported methods", head)
			}
		}
		return
	default:
		l.add("%s %s", head, l.text(underlying))
	}
	ofValues := types.NewMethodSet(t)
	for method := range types.NewMethodSet(types.NewPointer(t)).Methods() { // includes promoted methods
		if ofValue := ofValues.Lookup(l.pkg, method.Obj().Name()); ofValue != nil {
			method = ofValue
		}
		if method.Obj().Exported() {
			l.add("%s", types.SelectionString(method, l.qualifier))
		}
	}
}

func (l *listing) text(t types.Type) string { return types.TypeString(t, l.qualifier) }

func (l *listing) qualifier(other *types.Package) string {
	if other == l.pkg {
		return ""
	}
	return other.Name()
}

func TestAPIChangesAreLinesOfOneSideOnly(t *testing.T) {
	require.Empty(t, apiChanges([]string{"a", "b"}, []string{"b", "a"}))
	require.Equal(t, []string{"- func A(int)", "+ func A(string)", "- pkg gone", "+ pkg new"},
		apiChanges([]string{"func A(int)", "func B()", "pkg gone"}, []string{"func A(string)", "func B()", "pkg new"}))
}

func TestListingHoldsOnlyExportedDeclarations(t *testing.T) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, "p.go", `package p

const Limit, limit = 255, 1

var Err, err error

func New[K comparable](keys ...K) *Set[K] { return nil }
func hidden()                             {}

type Level int

const High Level = 2

func (Level) String() string { return "" }

type Same = Level

type Number interface{ ~int | ~uint8 }

type Sealed interface {
	Open(name string) (Level, error)
	close()
	flush()
}

type Set[K comparable] struct {
	Level
	inner
	Name  string
	count int
}

func (*Set[K]) Add(key K) {}
func (*Set[K]) grow()     {}

type inner struct{}

func (inner) Len() int { return 0 }
`, 0)
	require.NoError(t, err)
	pkg, err := new(types.Config).Check("p", files, []*ast.File{file}, nil)
	require.NoError(t, err)
	require.Equal(t, strings.Split(`pkg dir/p
pkg dir/p, const High Level = 2
pkg dir/p, const Limit untyped int = 255
pkg dir/p, func New[K comparable](keys ...K) *Set[K]
pkg dir/p, method (*Set[K comparable]) Add(key K)
pkg dir/p, method (Level) String() string
pkg dir/p, method (Set[K comparable]) Len() int
pkg dir/p, method (Set[K comparable]) String() string
pkg dir/p, type Level int
pkg dir/p, type Number interface
pkg dir/p, type Number interface{~int | ~uint8}
pkg dir/p, type Same = Level
pkg dir/p, type Sealed interface
pkg dir/p, type Sealed interface, Open(name string) (Level, error)
pkg dir/p, type Sealed interface, unexported methods
pkg dir/p, type Set[K comparable] struct
pkg dir/p, type Set[K comparable] struct, Name string
pkg dir/p, type Set[K comparable] struct, embedded Level
pkg dir/p, var Err error`, "\n"), list(pkg, "dir/p"))
}
