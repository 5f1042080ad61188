package main

import (
	"fmt"
	"io"
	"os"

	"github.com/rollcall-go/rollcall/cmd/internal/serve"
)

func main() {
	os.Exit(command(os.Args[1:], os.Stdout, os.Stderr, serve.Main))
}

const help = `Rollcall tells who is here: a presence service for web clients.

Usage:
  rollcall serve [flags]   run a replica; "rollcall serve --help" lists the flags
  rollcall version         print the version
  rollcall help            print this
`

// command runs the subcommand that args name and returns the exit code. main is
// serve.Main.
func command(args []string, stdout, stderr io.Writer, main func(serve.App, []string) int) int {
	name := ""
	if len(args) > 0 {
		name = args[0]
	}
	switch name {
	case "serve":
		return main(newService(os.LookupEnv).app(), args[1:])
	case "version", "--version":
		fmt.Fprintln(stdout, version())
		return 0
	case "help", "--help", "-h":
		io.WriteString(stdout, help)
		return 0
	case "":
		io.WriteString(stderr, "rollcall: no command\n\n"+help)
	case "bench":
		io.WriteString(stderr, "rollcall: unknown command \"bench\": the load generator is now a separate program, rollcall-bench\n")
	default:
		fmt.Fprintf(stderr, "rollcall: unknown command %q: there are serve, version and help\n", name)
	}
	return 2
}
