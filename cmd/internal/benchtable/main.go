package main

import (
	"fmt"
	"os"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "benchtable:", err)
		os.Exit(1)
	}
}

func run(names []string) error {
	var t table
	for _, name := range names {
		file, err := os.Open(name)
		if err != nil {
			return err
		}
		err = t.read(file)
		file.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return t.write(os.Stdout)
}
