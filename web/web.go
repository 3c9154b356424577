// Package web carries the console: what Vite built from this folder into dist. Without Node nothing is
// built, and the binary says so instead.
package web

import (
	"embed"
	"io/fs"
)

//go:embed all:dist
var dist embed.FS

// Files are the built console: index.html and assets/.
func Files() fs.FS {
	sub, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // the folder is part of the binary
	}
	return sub
}

// Built reports whether the binary carries a console.
func Built() bool {
	_, err := fs.Stat(Files(), "index.html")
	return err == nil
}
