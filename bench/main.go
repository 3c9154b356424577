// Command bench measures what Fengsui promises and prints one report: medians of several runs with their
// spread, beside a peer in the same run where there is one.
//
//	go run ./bench [-only gateway,sse,tiers,inspect,match,accuracy,variants,order,due,record,console,flood,growth,features] [-runs 5] [-json]
//
// The report goes to standard output and nothing else does; progress goes to standard error. Nothing here
// asserts a time: a slow machine gives a slow report, not a failed one. A run fails only when what was measured
// did not do its work (an answer that differs, a stream that outlived its order, a row that was lost).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if role := os.Getenv(roleVariable); role != "" {
		if err := play(ctx, role, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintf(os.Stderr, "bench %s: %v\n", role, err)
			os.Exit(1)
		}
		return
	}
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// bench is what every part is given.
type bench struct {
	runs       int
	phase      time.Duration // of one load against one path
	rate       float64       // requests a second where the load is paced
	sink       string        // telemetry or count
	streams    int           // open when an order is issued
	sizes      []int         // incidents of each place that grows
	dir        string        // temporary data, removed at the end
	samples    string        // public texts, if any (match)
	vectorscan string        // harness of tools/vectorscan, if any (match)
	model      string        // where the model that ships is written, if anywhere (accuracy)
	card       string        // its card, whose scores are written anew, if any (accuracy)
	log        io.Writer
}

func (b *bench) say(format string, args ...any) { fmt.Fprintf(b.log, format+"\n", args...) }

type part struct {
	name string
	run  func(context.Context, *bench) ([]table, error)
}

func parts() []part {
	return []part{
		{"gateway", gatewayPart}, {"sse", ssePart}, {"tiers", tiersPart}, {"inspect", inspectPart}, {"match", matchPart}, {"accuracy", accuracyPart}, {"variants", variantsPart},
		{"order", orderPart}, {"due", duePart}, {"record", recordPart}, {"console", consolePart}, {"flood", floodPart}, {"growth", growthPart}, {"features", featuresPart},
	}
}

func run(ctx context.Context, args []string, out, log io.Writer) (err error) {
	b := &bench{log: log}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(log)
	only := f.String("only", "", "parts to run, separated by commas (default: all but growth and features)")
	asJSON := f.Bool("json", false, "print JSON, with the value of every run")
	f.IntVar(&b.runs, "runs", 5, "runs of each figure; the median is shown")
	f.DurationVar(&b.phase, "phase", 700*time.Millisecond, "length of one load against one path (gateway)")
	f.Float64Var(&b.rate, "rate", 200, "requests a second of the paced load (gateway)")
	f.StringVar(&b.sink, "sink", "telemetry", "what the gateway hands its traffic rows to: telemetry or count")
	f.IntVar(&b.streams, "streams", 1000, "open streams when the order is issued (order)")
	sizes := f.String("sizes", "10,1000,100000", "incidents of the places that are put beside each other, at least 10 (growth)")
	f.StringVar(&b.samples, "samples", "../shared/data", "folder of public texts; without it texts are made (match) or the part is left out (accuracy, variants, features)")
	f.StringVar(&b.vectorscan, "vectorscan", "", "program built from tools/vectorscan (match)")
	f.StringVar(&b.model, "model", "", "file to write the model that ships to (accuracy)")
	f.StringVar(&b.card, "card", "", "card of that model, whose scores are written anew (accuracy)")
	tmp := f.String("dir", "", "where temporary data goes (default: the system's temporary folder)")
	if err := f.Parse(args); err != nil {
		return err
	}
	for s := range strings.SplitSeq(*sizes, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 10 || n > 900_000 {
			return fmt.Errorf("-sizes %q: whole numbers from 10 to 900000, separated by commas", *sizes)
		}
		b.sizes = append(b.sizes, n)
	}
	chosen, err := choose(*only)
	switch {
	case err != nil:
		return err
	case f.NArg() > 0:
		return fmt.Errorf("%q is no flag", f.Arg(0))
	case b.runs < 1 || b.streams < 10 || b.phase <= 0 || b.rate <= 0:
		return errors.New("-runs, -phase and -rate must be positive, -streams at least 10")
	case b.sink != "telemetry" && b.sink != "count":
		return fmt.Errorf("-sink %q: telemetry or count", b.sink)
	}
	testing.Init() // for testing.Benchmark
	if err := flag.Set("test.benchtime", "200ms"); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp(*tmp, "fengsui-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	start := time.Now()
	rep := report{Command: strings.TrimSpace("go run ./bench " + strings.Join(args, " ")), Machine: lookAround(ctx, b.dir, start), Runs: b.runs}
	for _, p := range chosen {
		b.say("%4.0fs  %s", time.Since(start).Seconds(), p.name)
		tables, err := p.run(ctx, b)
		var missing absent
		if *only == "" && errors.As(err, &missing) {
			b.say("       %s is left out: %v", p.name, missing)
			rep.LeftOut = append(rep.LeftOut, fmt.Sprintf("%s: %v", p.name, missing))
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		rep.Tables = append(rep.Tables, tables...)
	}
	rep.Machine.LoadEnd = loadAverage()
	rep.TookS = time.Since(start).Seconds()
	b.say("%4.0fs  done", rep.TookS)
	if *asJSON {
		return rep.writeJSON(out)
	}
	return rep.writeMarkdown(out)
}

func choose(only string) ([]part, error) {
	all := parts()
	if only == "" {
		return all[:len(all)-2], nil // the last two take longer than all others together
	}
	var chosen []part
	for name := range strings.SplitSeq(only, ",") {
		i := slices.IndexFunc(all, func(p part) bool { return p.name == strings.TrimSpace(name) })
		if i < 0 {
			return nil, fmt.Errorf("there is no part %q; there are gateway, sse, tiers, inspect, match, accuracy, variants, order, due, record, console, flood, growth and features", name)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}
