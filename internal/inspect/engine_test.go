package inspect

import "testing"

func TestScanMasksATerm(t *testing.T) {
	e, err := Compile(Rules{Terms: []Term{{ID: "t1", Text: "测试违禁词甲", Action: Mask}}})
	if err != nil {
		t.Fatal(err)
	}
	if got := e.Scan("你好测试违禁词甲！").Released; got != "你好******！" {
		t.Fatalf("released %q", got)
	}
}
