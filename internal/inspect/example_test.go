package inspect_test

import (
	"fmt"

	"github.com/fengsui/fengsui/internal/inspect"
)

// A stream holds back what may become a hit, and releases it once it is sure.
func Example() {
	engine, err := inspect.Compile(inspect.Rules{
		Terms:  []inspect.Term{{ID: "w-1", Text: "测试违禁词甲", Action: inspect.Mask, Risk: "A.1.d"}},
		Checks: []inspect.Check{{ID: "p-1", Kind: inspect.KindBankCard, Action: inspect.Replace, Risk: "A.4.f"}},
		// The default mask rune is '*'.
		ReplaceText: "[card]",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	stream := engine.NewStream()
	for _, chunk := range []string{"你好，测试", "题一；测", "试违禁词", "甲；4111 1111 ", "1111 1111。"} {
		step := stream.Write(chunk)
		fmt.Printf("%q held=%d", step.Released, step.Held)
		for _, m := range step.Matches {
			fmt.Printf(" %s %s at %d", m.Action, m.RuleID, m.Start)
		}
		fmt.Println()
	}
	fmt.Printf("%q\n", stream.Close().Released)
	// Output:
	// "你好，" held=2
	// "测试题一；" held=1
	// "" held=5
	// "******；" held=10 mask w-1 at 24
	// "[card]。" held=0 replace p-1 at 45
	// ""
}

func ExampleEngine_Scan() {
	engine, err := inspect.Compile(inspect.Rules{
		Terms: []inspect.Term{
			{ID: "w-2", Text: "Blue Widget", Action: inspect.Mask, Contexts: []string{"recipe", "配方"}, Window: 10},
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(engine.Scan("A ｂｌｕｅ widget is a toy.").Released)
	fmt.Println(engine.Scan("A recipe: ｂｌｕｅ widget").Released)
	// Output:
	// A ｂｌｕｅ widget is a toy.
	// A recipe: ***********
}
