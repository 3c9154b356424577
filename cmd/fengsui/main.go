// Command fengsui is the whole of 烽燧 Fengsui in one binary.
package main

import (
	"os"

	"github.com/fengsui/fengsui/internal/cli"
)

func main() {
	os.Exit(cli.Main(os.Args[1:], os.Stdout, os.Stderr))
}
