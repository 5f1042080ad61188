package rollcall_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// The programs in README.md compile as they stand there, and the test in it, which
// is of the program before it, passes.
func TestProgramsOfTheReadmeWork(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	programs := regexp.MustCompile("(?s)```(go|js)\n(.*?)```").FindAllSubmatch(readme, -1)
	require.Len(t, programs, 6)
	var tested []byte // the last program
	for i, program := range programs {
		language, code := string(program[1]), program[2]
		isTest := bytes.Contains(code, []byte("testing.T"))
		t.Run(fmt.Sprint(i, language), func(t *testing.T) {
			dir := t.TempDir()
			var check *exec.Cmd
			switch {
			case isTest:
				file, test := filepath.Join(dir, "main.go"), filepath.Join(dir, "main_test.go")
				require.NoError(t, os.WriteFile(file, tested, 0o600))
				require.NoError(t, os.WriteFile(test, code, 0o600))
				check = exec.Command("go", "test", file, test)
			case language == "go":
				tested = code
				file := filepath.Join(dir, "main.go")
				require.NoError(t, os.WriteFile(file, code, 0o600))
				check = exec.Command("go", "build", "-o", filepath.Join(dir, "program"), file)
			case language == "js":
				file := filepath.Join(dir, "program.mjs")
				require.NoError(t, os.WriteFile(file, code, 0o600))
				check = exec.Command("node", "--check", file)
			}
			out, err := check.CombinedOutput()
			require.NoError(t, err, "%s", out)
		})
	}
}
