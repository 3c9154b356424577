// Package cli is the command line, one file a command.
package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// Root is every command of fengsui.
type Root struct {
	Serve           ServeCmd           `cmd:"" help:"Run Fengsui: gateway, desk and clocks in one process. 运行烽燧。"`
	Demo            DemoCmd            `cmd:"" help:"Run Fengsui in front of a simulated model with gentle simulated traffic. 演示。"`
	Call            CallCmd            `cmd:"" help:"Call any operation of a running Fengsui; without a name, list them. 调用任一接口。"`
	Openapi         OpenapiCmd         `cmd:"" help:"Print the OpenAPI document of the API. 接口文档。"`
	Drill           DrillCmd           `cmd:"" help:"Run a drill through the real pipeline. 演练。"`
	Grade           GradeCmd           `cmd:"" help:"Grade by the guide's tables. 定级。"`
	Inspect         InspectCmd         `cmd:"" help:"Look at text with the engine of the gateway. 检测文本。"`
	Train           TrainCmd           `cmd:"" help:"Make a classifier of your own samples, and say how right it is. 训练分类器。"`
	Person          PersonCmd          `cmd:"" help:"Add persons and tokens in a data folder. 人员与令牌。"`
	Gateway         GatewayCmd         `cmd:"" help:"Gateways that are processes of their own. 独立网关。"`
	Record          RecordCmd          `cmd:"" help:"Verify, export and sign the record. 存证日志。"`
	Doctor          DoctorCmd          `cmd:"" help:"Say what is wrong with an installation, and what to do; changes nothing. 体检。"`
	Support         SupportCmd         `cmd:"" help:"Pack what somebody needs to help, without secrets and without content. 打包诊断信息。"`
	Backup          BackupCmd          `cmd:"" help:"Back up a data folder, also of a running instance. 备份。"`
	Restore         RestoreCmd         `cmd:"" help:"Restore a backup into an empty folder. 恢复。"`
	Migrate         MigrateCmd         `cmd:"" help:"Move the data of a stopped instance between SQLite and PostgreSQL. 迁移数据库。"`
	SimulateModel   SimulateModelCmd   `cmd:"" help:"A simulated OpenAI-compatible model with faults to switch on. 模拟模型。"`
	SimulateTraffic SimulateTrafficCmd `cmd:"" help:"Gentle simulated traffic to a gateway on this machine. 模拟流量。"`
}

// Main parses args and runs the command; it returns the exit code.
func Main(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var root Root
	code := 0
	p, err := kong.New(&root, kong.Name("fengsui"), kong.Description("烽燧 Fengsui: emergency response for generative-AI services."),
		kong.Writers(stdout, stderr), kong.Exit(func(c int) { code = c; panic(exited{}) }), kong.UsageOnError(),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.BindTo(stdout, (*io.Writer)(nil)))
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 2
	}
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(exited); !ok {
				panic(r)
			}
		}
	}()
	k, err := p.Parse(args)
	if err != nil {
		fmt.Fprintln(stderr, "fengsui:", err)
		return 2
	}
	if err := k.Run(); err != nil {
		fmt.Fprintln(stderr, "fengsui:", err)
		return 1
	}
	return code
}

// exited unwinds after kong has printed help or a version.
type exited struct{}
