package rollcall_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// The programs in README.md compile as they stand there.
func TestProgramsOfTheReadmeCompile(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	programs := regexp.MustCompile("(?s)```(go|js)\n(.*?)```").FindAllSubmatch(readme, -1)
	require.Len(t, programs, 3, "three ways to use it")
	for i, program := range programs {
		language, code := string(program[1]), program[2]
		t.Run(fmt.Sprint(i, language), func(t *testing.T) {
			dir := t.TempDir()
			var check *exec.Cmd
			switch language {
			case "go":
				file := filepath.Join(dir, "main.go")
				require.NoError(t, os.WriteFile(file, code, 0o600))
				check = exec.Command("go", "build", "-o", filepath.Join(dir, "program"), file)
			case "js":
				file := filepath.Join(dir, "program.mjs")
				require.NoError(t, os.WriteFile(file, code, 0o600))
				check = exec.Command("node", "--check", file)
			}
			out, err := check.CombinedOutput()
			require.NoError(t, err, "%s", out)
		})
	}
}
