package app

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/fengsui/fengsui/internal/monitor/anomaly"
	"github.com/fengsui/fengsui/internal/prepare/drill"
	"github.com/fengsui/fengsui/internal/respond/containment"
	"github.com/fengsui/fengsui/internal/respond/dispatch"
	"github.com/fengsui/fengsui/internal/respond/gatereview"
	"github.com/fengsui/fengsui/internal/respond/incident"
)

var update = flag.Bool("update", false, "write docs/state-machines.md anew")

const machinesDoc = "../../docs/state-machines.md"

type arrow struct{ from, event, to string }

func draw(name string, arrows []arrow) string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n```mermaid\nstateDiagram-v2\n", name)
	for _, a := range arrows {
		fmt.Fprintf(&b, "  %s --> %s: %s\n", a.from, a.to, a.event)
	}
	b.WriteString("```\n\n")
	return b.String()
}

func drawing() string {
	each := map[string][]arrow{}
	for _, t := range anomaly.Machine() {
		each["Anomaly 服务异常"] = append(each["Anomaly 服务异常"], arrow{string(t.From), t.Event, string(t.To)})
	}
	for _, t := range incident.Machine() {
		each["Incident 事件"] = append(each["Incident 事件"], arrow{string(t.From), string(t.Event), string(t.To)})
	}
	for _, t := range containment.Machine() {
		each["Order 处置指令"] = append(each["Order 处置指令"], arrow{string(t.From), t.Event, string(t.To)})
	}
	for _, t := range gatereview.Machine() {
		each["Gate review 上下线管理审查"] = append(each["Gate review 上下线管理审查"], arrow{string(t.From), string(t.Direction) + " " + t.Event, string(t.To)})
	}
	for _, t := range dispatch.Machine() {
		each["Task 任务"] = append(each["Task 任务"], arrow{string(t.From), t.Event, string(t.To)})
	}
	for _, t := range drill.Machine() {
		each["Drill 演练"] = append(each["Drill 演练"], arrow{string(t.From), t.Event, string(t.To)})
	}
	out := "# State machines\n\nDrawn from the code by `go test ./internal/app -run StateMachines -update`; the same test holds the drawing to the code.\n\n"
	for _, name := range []string{"Anomaly 服务异常", "Incident 事件", "Order 处置指令", "Gate review 上下线管理审查", "Task 任务", "Drill 演练"} {
		out += draw(name, each[name])
	}
	return out
}

func TestStateMachinesAreDrawnAsTheyAre(t *testing.T) {
	want := drawing()
	if *update {
		if err := os.WriteFile(machinesDoc, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(machinesDoc)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != want {
		t.Error("docs/state-machines.md is not what the code says; run the test with -update")
	}
}
