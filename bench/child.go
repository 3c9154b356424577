package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// roleVariable makes bench play one part of a measurement in a process of its own, so that its memory, its
// collector and its processor time are not mixed with those of the others.
const roleVariable = "FENGSUI_BENCH_ROLE"

// actor is a role that answers questions. It lives until its standard input ends.
type actor interface {
	// answer handles one question; raw is the question's JSON.
	answer(ctx context.Context, op string, raw jsontext.Value) (any, error)
	// stop ends what the role started and waits for it.
	stop()
}

type question struct {
	Op   string         `json:"op"`
	With jsontext.Value `json:"with,omitzero"`
}

type reply struct {
	Error string         `json:"error,omitzero"`
	Value jsontext.Value `json:"value,omitzero"`
}

// play is the child's side: the first line is the set-up, each further one a question.
func play(ctx context.Context, role string, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	lines := bufio.NewReader(in)
	var a actor
	defer func() {
		if a != nil {
			a.stop()
		}
	}()
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var q question
		if err := json.Unmarshal(line, &q); err != nil {
			return err
		}
		var value any
		switch {
		case q.Op == "spent":
			value = spent().Microseconds()
		case a == nil:
			a, value, err = begin(ctx, role, q.With)
		default:
			value, err = a.answer(ctx, q.Op, q.With)
		}
		var r reply
		if err != nil {
			r.Error = err.Error()
		} else if r.Value, err = json.Marshal(value); err != nil {
			return err
		}
		body, err := json.Marshal(r)
		if err != nil {
			return err
		}
		if _, err := out.Write(append(body, '\n')); err != nil {
			return err
		}
	}
}

func begin(ctx context.Context, role string, with jsontext.Value) (actor, any, error) {
	switch role {
	case "upstream":
		return beginUpstream(ctx)
	case "proxy":
		return beginProxy(ctx, with)
	case "gateway":
		return beginGateway(ctx, with)
	case "clients":
		return beginClients()
	}
	return nil, nil, fmt.Errorf("there is no role %q", role)
}

// child is the parent's side of a role.
type child struct {
	role string
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
}

// start runs a role and gives its first reply.
func start(ctx context.Context, log io.Writer, role string, with, into any) (_ *child, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{role: role, cmd: exec.CommandContext(ctx, self)}
	c.cmd.Env = append(os.Environ(), roleVariable+"="+role)
	c.cmd.Stderr = log
	c.cmd.WaitDelay = 5 * time.Second
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = bufio.NewReader(out)
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	if err := c.ask("begin", with, into); err != nil {
		c.stop()
		return nil, err
	}
	return c, nil
}

// ask puts a question and waits for the answer.
func (c *child) ask(op string, with, into any) error {
	q := question{Op: op}
	var err error
	if with != nil {
		if q.With, err = json.Marshal(with); err != nil {
			return err
		}
	}
	body, err := json.Marshal(q)
	if err != nil {
		return err
	}
	if _, err := c.in.Write(append(body, '\n')); err != nil {
		return fmt.Errorf("the process %s is gone: %w", c.role, err)
	}
	line, err := c.out.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("the process %s is gone: %w", c.role, err)
	}
	var r reply
	if err := json.Unmarshal(line, &r); err != nil {
		return err
	}
	if r.Error != "" {
		return fmt.Errorf("%s: %s", c.role, r.Error)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(r.Value, into)
}

// spent is the processor time of the child so far.
func (c *child) spent() (time.Duration, error) {
	var us int64
	err := c.ask("spent", nil, &us)
	return time.Duration(us) * time.Microsecond, err
}

// stop lets the child end by itself and waits for it; a child that does not is killed.
func (c *child) stop() {
	_ = c.in.Close()
	late := time.AfterFunc(10*time.Second, func() { _ = c.cmd.Process.Kill() })
	defer late.Stop()
	_ = c.cmd.Wait()
}
