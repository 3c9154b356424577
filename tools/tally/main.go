// Tally runs go test and says what came of it: a line a package, the output of what failed, every skip with its
// reason, and a closing line "N passed, N failed, N skipped" of top-level tests. It fails when a test fails,
// when go test fails, and when no test ran at all: silence is not success.
//
//	tally [-logs] -- [arguments of go test]
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
)

func main() {
	logs := flag.Bool("logs", false, "show what passing tests log, too")
	flag.Parse()
	code, err := run(flag.Args(), *logs)
	if err != nil {
		fmt.Fprintln(os.Stderr, "tally:", err)
		code = 1
	}
	os.Exit(code)
}

func run(args []string, logs bool) (int, error) {
	// Ctrl-C reaches go test as well; tally waits for it to end, so that no test is left behind.
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	defer signal.Stop(interrupts)

	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 1, err
	}
	if err := cmd.Start(); err != nil {
		return 1, err
	}
	t := newTally(os.Stdout, logs)
	readErr := t.read(out)
	waitErr := cmd.Wait()
	ok := t.close()
	if readErr != nil {
		return 1, readErr
	}
	var exit *exec.ExitError
	if waitErr != nil && !errors.As(waitErr, &exit) {
		return 1, waitErr
	}
	if !ok || waitErr != nil {
		return 1, nil
	}
	return 0, nil
}
