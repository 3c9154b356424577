package gateway

import (
	"slices"

	"github.com/fengsui/fengsui/internal/inspect"
	"github.com/fengsui/fengsui/internal/inspect/classify/shipped"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/posture"
)

// judges are the classifiers of a posture; nil where it asks for none. They observe or end a text and hand it on unchanged,
// so they stand before the rules, whose masks they must not see.
type judges struct {
	asked *inspect.Engine // of what users and tools write
	said  *inspect.Engine // of what the model writes
}

// blocking is behind the id of a classifier in the id of what it blocks.
const blocking = ".block"

// newJudges makes the engines. Missing are the ids of classifiers whose model this program does not have: a version that ships
// another model must go on with the rest of the bundle, above all with its orders.
func newJudges(list []posture.Classifier) (out judges, missing []string, err error) {
	if len(list) == 0 {
		return out, nil, nil
	}
	model, err := shipped.Model()
	if err != nil {
		return out, nil, err
	}
	var asked, said inspect.Rules
	for _, c := range list {
		if c.Model != shipped.Digest() {
			missing = append(missing, c.ID)
			continue
		}
		rules := []inspect.Classifier{{ID: c.ID, Model: model, Head: c.Head, Action: inspect.Observe, Threshold: c.Observe, Risk: c.Risk}}
		if c.Block > 0 {
			rules = append(rules, inspect.Classifier{ID: c.ID + blocking, Model: model, Head: c.Head, Action: inspect.Block, Threshold: c.Block, Risk: c.Risk})
		}
		asked.Classifiers = append(asked.Classifiers, rules...)
		if !c.Asked {
			said.Classifiers = append(said.Classifiers, rules...)
		}
	}
	if len(asked.Classifiers) > 0 {
		out.asked, err = inspect.Compile(asked)
	}
	if err == nil && len(said.Classifiers) > 0 {
		out.said, err = inspect.Compile(said)
	}
	if err != nil {
		return judges{}, nil, fault.Invalid("posture.rules.classifiers", "gateway.rules_refused").Because(err)
	}
	return out, missing, nil
}

// warnUnjudged logs what newly taken postures ask for and does not judge here.
func (g *Gateway) warnUnjudged(r, have *regime) {
	for id, s := range r.services {
		if len(s.unjudged) > 0 && (have == nil || have.services[id] != s) {
			g.o.Logger.Warn("this program does not have the model that the posture names; its classifiers judge nothing here, everything else binds",
				"gateway", g.o.ID, "service", id, "classifiers", s.unjudged)
		}
	}
}

// set says which rules are in force now: 0 the base set, 1 with the strict set.
func (c *call) set() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.decision.Strict {
		return 1
	}
	return 0
}

// judged puts a judge before the engines.
func judged(judge *inspect.Engine, engines []*inspect.Engine) []*inspect.Engine {
	if judge == nil {
		return engines
	}
	return slices.Insert(slices.Clone(engines), 0, judge)
}

// said are the engines that a running text of the model passes.
func (c *call) said(engines []*inspect.Engine) []*inspect.Engine {
	return judged(c.svc.judges[c.set()].said, engines)
}
