package channel

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// The rows of the behaviour contract, B001 to B187, are listed in
// testdata/contract.txt with what becomes of each. A test says which rows it
// proves by calling proves; TestMain fails the run of the whole package when a
// row that is listed as proved was not proved by the test that is named.

// contractRow is a line of testdata/contract.txt.
type contractRow struct {
	row    string
	status string // proved, differs, elsewhere or open
	tests  []contractTest
	text   string
	// unkilled is why no mutant shows that the tests would notice.
	unkilled string
}

// A contractTest is a test that is said to prove a row.
type contractTest struct {
	pkg  string // from the root of the module; empty is this package
	name string
	node bool // in Node, else in Go
}

// test returns the test of a name.
func (r contractRow) test(name string) (contractTest, bool) {
	i := slices.IndexFunc(r.tests, func(t contractTest) bool { return t.name == name })
	if i < 0 {
		return contractTest{}, false
	}
	return r.tests[i], true
}

const lastRow = 187

func readContract() ([]contractRow, error) {
	text, err := os.ReadFile("testdata/contract.txt")
	if err != nil {
		return nil, err
	}
	var list []contractRow
	for n, line := range strings.Split(string(text), "\n") {
		line, comment, _ := strings.Cut(line, " -- ")
		comment, unkilled, _ := strings.Cut(comment, " -- ")
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(line, "#") {
			continue
		}
		if len(fields) < 2 {
			return nil, fmt.Errorf("contract.txt:%d: no status", n+1)
		}
		r := contractRow{row: fields[0], status: fields[1], text: strings.TrimSpace(comment), unkilled: strings.TrimSpace(unkilled)}
		pkg := ""
		for _, field := range fields[2:] {
			if strings.HasPrefix(field, "Test") || strings.HasPrefix(field, "Fuzz") {
				r.tests = append(r.tests, contractTest{pkg: pkg, name: field})
			} else {
				pkg = field
			}
		}
		if r.status == "elsewhere" && r.text != "" {
			for name := range strings.SplitSeq(r.text, "; ") {
				r.tests = append(r.tests, contractTest{pkg: pkg, name: name, node: true})
			}
		}
		list = append(list, r)
	}
	return list, nil
}

// contract collects what tests prove.
var contract = struct {
	once sync.Once
	rows map[string]contractRow
	err  error

	mu     sync.Mutex
	proved map[string]map[string]bool // row, test
}{proved: map[string]map[string]bool{}}

func contractRows() (map[string]contractRow, error) {
	contract.once.Do(func() {
		list, err := readContract()
		contract.rows, contract.err = map[string]contractRow{}, err
		for _, r := range list {
			contract.rows[r.row] = r
		}
	})
	return contract.rows, contract.err
}

// proves says that the test t fails when the behaviour of the rows is removed;
// or, for a row where we differ on purpose, when what is done instead is.
func proves(t testing.TB, rows ...string) {
	t.Helper()
	known, err := contractRows()
	require.NoError(t, err)
	test, _, _ := strings.Cut(t.Name(), "/")
	for _, row := range rows {
		r, ok := known[row]
		if !ok {
			t.Errorf("%s is no row of the contract", row)
		} else if listed, ok := r.test(test); !ok || listed.pkg != "" {
			t.Errorf("%s proves %s, and testdata/contract.txt does not say so", test, row)
		}
		contract.mu.Lock()
		if contract.proved[row] == nil {
			contract.proved[row] = map[string]bool{}
		}
		contract.proved[row][test] = true
		contract.mu.Unlock()
	}
}

// unproved are the rows whose tests ran, or should have, and did not say that
// they prove them.
func unproved() []string {
	rows, err := contractRows()
	if err != nil {
		return []string{err.Error()}
	}
	contract.mu.Lock()
	defer contract.mu.Unlock()
	var faults []string
	for row, r := range rows {
		for _, test := range r.tests {
			if test.pkg == "" && !contract.proved[row][test.name] {
				faults = append(faults, fmt.Sprintf("%s is not proved by %s, as testdata/contract.txt says", row, test.name))
			}
		}
	}
	slices.Sort(faults)
	return faults
}

// wholePackage reports whether all tests run.
func wholePackage() bool {
	for _, name := range []string{"test.run", "test.skip", "test.list", "test.fuzz"} {
		if f := flag.Lookup(name); f != nil && f.Value.String() != "" {
			return false
		}
	}
	return true
}

// checkedTests are the tests, and then the contract.
type checkedTests struct{ m *testing.M }

func (c checkedTests) Run() int {
	code := c.m.Run()
	if code != 0 || !wholePackage() {
		return code
	}
	for _, fault := range unproved() {
		fmt.Fprintln(os.Stderr, fault)
		code = 1
	}
	return code
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(checkedTests{m}) }

func TestContractListsEveryRowOnce(t *testing.T) {
	list, err := readContract()
	require.NoError(t, err)
	var want, got []string
	for n := range lastRow {
		want = append(want, fmt.Sprintf("B%03d", n+1))
	}
	for _, r := range list {
		got = append(got, r.row)
		switch r.status {
		case "proved":
			require.NotEmpty(t, r.tests, "%s: by which test?", r.row)
		case "differs": // see below
		case "elsewhere":
			require.NotEmpty(t, r.tests, "%s: by which test?", r.row)
			for _, test := range r.tests {
				require.NotEmpty(t, test.pkg, "%s: in which package?", r.row)
			}
		case "open":
			require.NotEmpty(t, r.text, "%s: what is missing?", r.row)
			require.Empty(t, r.tests, "%s: open, and proved?", r.row)
		default:
			require.Fail(t, "unknown status", "%s: %s", r.row, r.status)
		}
	}
	require.Equal(t, want, got)
}

// Where tests of other packages prove a row, these tests exist. What is said
// of tests in Node stands in their files.
func TestContractNamesTestsThatExist(t *testing.T) {
	list, err := readContract()
	require.NoError(t, err)
	sources := map[string]string{}
	sourceOf := func(pkg string) string {
		if source, ok := sources[pkg]; ok {
			return source
		}
		var source strings.Builder
		for _, pattern := range []string{"*_test.go", "*.test.mjs"} {
			files, err := filepath.Glob(filepath.Join("..", pkg, pattern))
			require.NoError(t, err)
			for _, file := range files {
				text, err := os.ReadFile(file)
				require.NoError(t, err)
				source.Write(text)
			}
		}
		require.NotZero(t, source.Len(), "%s has no tests", pkg)
		sources[pkg] = source.String()
		return sources[pkg]
	}
	for _, r := range list {
		for _, test := range r.tests {
			decl := "func " + test.name + "(t *testing.T"
			if test.node {
				decl = `test("` + test.name + `"`
			}
			if test.pkg != "" {
				require.Contains(t, sourceOf(test.pkg), decl, "%s: %s has no %s", r.row, test.pkg, test.name)
			}
		}
	}
}

// The rows that are listed as differing are those of the tables of differences.
func TestContractAgreesWithTheTableOfDifferences(t *testing.T) {
	list, err := readContract()
	require.NoError(t, err)
	var want []string
	for _, r := range list {
		if r.status == "differs" {
			want = append(want, r.row)
		}
	}
	doc, err := os.ReadFile("../docs/phoenix-contract.md")
	require.NoError(t, err)
	var got []string
	for _, head := range regexp.MustCompile(`(?m)^\| (B\d{3}[^|]*) \|`).FindAllStringSubmatch(string(doc), -1) {
		for _, rows := range strings.Split(head[1], ", ") {
			first, last, isRange := strings.Cut(rows, " to ")
			if !isRange {
				last = first
			}
			var from, to int
			_, err := fmt.Sscanf(first+" "+last, "B%d B%d", &from, &to)
			require.NoError(t, err, head[1])
			for n := from; n <= to; n++ {
				got = append(got, fmt.Sprintf("B%03d", n))
			}
		}
	}
	slices.Sort(got)
	require.Equal(t, slices.Compact(got), want)
}

// The table below would pass nothing: the checks can fail.
func TestContractFindsWhatIsNotProved(t *testing.T) {
	contract.mu.Lock()
	saved := contract.proved
	contract.proved = map[string]map[string]bool{"B004": {"TestNegotiation": true}}
	contract.mu.Unlock()
	faults := unproved()
	contract.mu.Lock()
	contract.proved = saved
	contract.mu.Unlock()
	require.NotEmpty(t, faults)
	require.NotContains(t, faults, "B004 is not proved by TestNegotiation, as testdata/contract.txt says")
	require.Contains(t, faults, "B006 is not proved by TestConnect, as testdata/contract.txt says")
}
