package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/fengsui/fengsui/internal/app"
	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/simulate"
)

// DemoCmd runs everything a newcomer needs: a simulated model, Fengsui in front of it, a small team,
// and gentle traffic that is labelled as simulated.
type DemoCmd struct {
	tongue
	Data          string  `help:"Data folder." default:"data/demo" type:"path"`
	Listen        string  `help:"Address of API and pages." default:"127.0.0.1:8080"`
	GatewayListen string  `help:"Address of the gateway." default:"127.0.0.1:8081"`
	ModelListen   string  `help:"Address of the simulated model." default:"127.0.0.1:8082"`
	Rate          float64 `help:"Simulated requests a second." default:"1"`
	LogLevel      string  `help:"debug, info, warn or error." enum:"debug,info,warn,error" default:"warn"`
}

// demoTriggerEvery makes a fault that was just switched on show as an anomaly within a minute at the usual
// rate: there are four such questions, and it takes three wrong answers of one kind.
const demoTriggerEvery = 3

var demoTeam = []struct{ role, name, account string }{
	{"duty_officer", "值班员", "duty"}, {"commander", "指挥员", "commander"}, {"safety_engineer", "安全工程师", "safety"}, {"engineer", "平台工程师", "engineer"},
	{"compliance", "合规接口人", "compliance"}, {"management", "管理层", "management"}, {"auditor", "审计员", "auditor"},
}

// Run serves until interrupted.
func (c *DemoCmd) Run(ctx context.Context, out io.Writer) error { return c.explain(c.run(ctx, out)) }

func (c *DemoCmd) run(ctx context.Context, out io.Writer) error {
	l, err := app.Listen(ctx, c.ModelListen, "model-listen")
	if err != nil {
		return err
	}
	model := simulate.NewModel(simulate.Options{Clock: clock.System()})
	modelURL := "http://" + l.Addr().String()
	o, err := (&ServeCmd{Data: c.Data, setup: setup{Listen: c.Listen, GatewayListen: c.GatewayListen, AllowPrivateUpstream: true, LogLevel: c.LogLevel}}).options(os.Stderr)
	if err != nil {
		return err
	}
	a, err := app.New(ctx, o)
	if err != nil {
		l.Close()
		return err
	}
	tokens, key, err := c.prepare(ctx, out, a, modelURL)
	if err != nil {
		a.Stop()
		l.Close()
		return err
	}
	traffic, err := simulate.NewTraffic(simulate.TrafficOptions{Gateway: a.GatewayURL(), Key: key, Rate: c.Rate, TriggerEvery: demoTriggerEvery, Clock: clock.System()})
	if err != nil {
		a.Stop()
		l.Close()
		return err
	}
	password, links, err := c.accounts(ctx, a)
	if err != nil {
		a.Stop()
		l.Close()
		return err
	}
	c.welcome(out, a, modelURL, tokens, password, links)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	errs := make([]error, 2)
	wg.Go(func() { errs[0] = model.Serve(ctx, l); cancel() })
	wg.Go(func() { errs[1] = traffic.Run(ctx); cancel() })
	err = a.Run(ctx)
	cancel()
	wg.Wait()
	return errors.Join(append(errs, err)...)
}

// prepare registers service, team and traffic key at the first start; key and tokens are kept in files
// that only their owner can read, because this is a demonstration. A file that is missing, because a start
// was killed or somebody removed it, is made anew with a new key or new tokens.
func (c *DemoCmd) prepare(ctx context.Context, out io.Writer, a *app.App, modelURL string) (tokensFile, key string, err error) {
	tokensFile, keyFile := filepath.Join(c.Data, "demo-tokens.txt"), filepath.Join(c.Data, "demo-key.txt")
	first, err := a.FirstService(ctx, app.FirstService{Upstream: modelURL + "/v1", Model: simulate.DefaultModelID, Simulated: true})
	if err != nil {
		return "", "", err
	}
	if err := c.kept(out, simulate.DefaultModelID, modelURL+"/v1", first); err != nil {
		return "", "", err
	}
	if key, err = kept(keyFile); err != nil {
		return "", "", err
	}
	if first.Key != "" || key == "" {
		if key = first.Key; key == "" {
			if key, err = a.AddKey(ctx, first.ServiceID, true); err != nil {
				return "", "", err
			}
		}
		if err := keep(keyFile, key); err != nil {
			return "", "", err
		}
	}
	if tokens, err := kept(tokensFile); err != nil || tokens != "" {
		return tokensFile, key, err
	}
	text := ""
	for _, m := range demoTeam {
		token, err := a.TokenFor(ctx, m.name, m.role)
		if err != nil {
			return "", "", err
		}
		text += fmt.Sprintf("%-16s %s  # %s\n", m.role, token, m.name)
	}
	return tokensFile, key, keep(tokensFile, text)
}

// accounts gives each of the team an account with the demonstration's one password, which is kept in a
// file like the tokens, and the administrators their links at the first start.
func (c *DemoCmd) accounts(ctx context.Context, a *app.App) (password string, links []app.AdminLink, err error) {
	file := filepath.Join(c.Data, "demo-password.txt")
	if password, err = kept(file); err != nil {
		return "", nil, err
	}
	if password == "" {
		password = "demo-" + strings.ToLower(rand.Text()[:16])
		if err := keep(file, password+"\n"); err != nil {
			return "", nil, err
		}
	}
	names := make([]string, len(demoTeam))
	for i, m := range demoTeam {
		names[i] = m.account
		if err := a.DemoAccount(ctx, m.name, m.role, m.account, password); err != nil {
			return "", nil, err
		}
	}
	a.House.Login.SetDemo(fmt.Sprintf("演示账户 demo accounts: %s; 密码见启动时的输出或 %s / the password is printed at start and kept in that file", strings.Join(names, ", "), file))
	links, err = a.FirstAdmins(ctx)
	return password, links, err
}

// kept reads what an earlier start kept; "" if it kept nothing.
func kept(file string) (string, error) {
	raw, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSpace(string(raw)), err
}

// keep writes a file that is there in full or not at all.
func keep(file, text string) error {
	if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

func (c *DemoCmd) welcome(out io.Writer, a *app.App, modelURL, tokensFile, password string, links []app.AdminLink) {
	names := make([]string, len(demoTeam))
	for i, m := range demoTeam {
		names[i] = m.account
	}
	fmt.Fprintf(out, `烽燧 Fengsui 演示已启动 / the demonstration is running (Ctrl-C to stop)
  状态页 status page       %[1]s/status
  投诉页 complaint form    %[1]s/complaint
  网关 gateway             %[2]s/v1   (OpenAI-compatible, model %[3]s)
  模拟模型 simulated model %[4]s   faults: GET/PUT %[4]s/faults
  令牌 tokens              %[5]s
  控制台 console           %[7]s/console/
  演示账户 demo accounts   %[8]s
  演示密码 demo password   %[9]s
试一试 try next:
  %[6]s drill run A.2
  curl -X PUT %[4]s/faults -d '{"faults":[{"name":"false_medicine"}]}'   # then watch the status page
  FENGSUI_TOKEN=… %[6]s call list-anomalies
接真实模型 a real model:
  %[6]s serve --upstream https://model.example/v1 --upstream-model NAME --upstream-key-file FILE
`, a.URL(), a.GatewayURL(), simulate.DefaultModelID, modelURL, tokensFile, os.Args[0], a.PublicURL(), strings.Join(names, " "), password)
	printLinks(out, links)
}
