package main

import (
	"runtime/debug"
	"strings"
)

// version says what was built, as far as the Go command recorded it:
// "rollcall v1.2.3 (revision 0123456789ab, modified) go1.26".
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "rollcall (unknown version)"
	}
	return describe(info)
}

func describe(info *debug.BuildInfo) string {
	var notes []string
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			notes = append(notes, "revision "+s.Value[:min(12, len(s.Value))])
		case s.Key == "vcs.modified" && s.Value == "true":
			notes = append(notes, "modified")
		}
	}
	text := "rollcall " + info.Main.Version
	if len(notes) > 0 {
		text += " (" + strings.Join(notes, ", ") + ")"
	}
	return text + " " + info.GoVersion
}
