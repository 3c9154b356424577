// Package cli holds the commands of fengsui, one file a command.
package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/fengsui/fengsui/internal/standard"
)

// GradeCmd grades one affected object by the guide's chapter 5, without a server or a data folder.
//
//	fengsui grade --importance 重要 --harm 重大
//	fengsui grade --importance important --loss severe --harm major --json
//
// With --json it prints one object, the JSON of standard.Grading. Levels are numbers from 1 (一级, the gravest) to 4:
//
//	{
//	  "factors":       {"importance": "important", "business_loss": "severe", "social_harm": "major"},
//	  "level":         2,        // the final level; null where Table 2 is empty at the object's cell
//	  "working_level": 2,        // drives orders and clocks; equals level unless that is null
//	  "from_loss":     PARTIAL,  // null if no business loss was given
//	  "from_harm":     PARTIAL,  // null if no social harm was given
//	  "edition":       "TC260-PG-202515A@V1.0-202509",
//	  "clause":        "5 Table 2",
//	  "cell":          "2/important/major",  // table/row/column that decides the final level, or the empty one
//	  "verified":      true,
//	  "reason":        {"key": "grading.reason.harm_higher", "args": {"harm": "major", …}, "zh": "…", "en": "…"},
//	  "neighbours":    [{"factor": "importance", "from": "important", "to": TERM, "level": 1, "working_level": 1}, …]
//	}
//
// PARTIAL is {"level": 2 or null, "working_level": 2, "edition", "clause", "verified", "table": "2", "row": TERM,
// "column": TERM, "cell"}; in an empty cell its level is null. TERM is {"id", "zh", "en"}. Neighbours are the single
// changes of a factor that would change level or working_level; "from" is empty for a factor that was not given.
type GradeCmd struct {
	Importance string `required:"" placeholder:"LEVEL" help:"Importance of the affected object: 特别重要, 重要, 一般 or the English name."`
	Loss       string `placeholder:"LEVEL" help:"Business loss: 特别严重, 严重, 较大, 较小 or the English name."`
	Harm       string `placeholder:"LEVEL" help:"Social harm: 特别重大, 重大, 较大, 一般 or the English name."`
	JSON       bool   `name:"json" help:"Print JSON."`
	Lang       string `enum:"zh,en" default:"zh" help:"Language of the text output: zh or en."`
	Rules      string `placeholder:"DIR" help:"Folder with the rule files of another edition; default: those in the binary."`
}

// Run grades and prints to out. A wrong or missing factor is a *standard.InputError, faulty rule files are
// *standard.DataError; then nothing has been printed.
func (c *GradeCmd) Run(out io.Writer) error {
	book, err := c.book()
	if err != nil {
		return err
	}
	factors, err := c.factors(book)
	if err != nil {
		return err
	}
	grading, err := book.Grade(factors)
	if err != nil {
		return err
	}
	if c.JSON {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		return enc.Encode(grading)
	}
	_, err = io.WriteString(out, gradeText(book, grading, c.Lang == "en"))
	return err
}

func (c *GradeCmd) book() (*standard.Book, error) {
	if c.Rules == "" {
		return standard.Load()
	}
	return standard.LoadFS(os.DirFS(c.Rules))
}

func (c *GradeCmd) factors(book *standard.Book) (standard.Factors, error) {
	var f standard.Factors
	var faults []error
	var err error
	if f.Importance, err = book.ParseImportance(c.Importance); err != nil {
		faults = append(faults, err)
	}
	if c.Loss != "" {
		if f.BusinessLoss, err = book.ParseBusinessLoss(c.Loss); err != nil {
			faults = append(faults, err)
		}
	}
	if c.Harm != "" {
		if f.SocialHarm, err = book.ParseSocialHarm(c.Harm); err != nil {
			faults = append(faults, err)
		}
	}
	return f, errors.Join(faults...)
}

func gradeText(book *standard.Book, g standard.Grading, english bool) string {
	say := func(zh, en string) string {
		if english {
			return en
		}
		return zh
	}
	name := func(n standard.Name) string { return say(n.ZH, n.EN) }
	level := func(n *int) string {
		if n == nil {
			return say("无（空格）", "none (empty cell)")
		}
		return name(book.LevelName(*n))
	}
	factor := map[string]string{}
	for _, f := range book.Factors() {
		factor[f.ID] = name(f.Name)
	}
	var s strings.Builder
	line := func(zh, en, value string) { fmt.Fprintf(&s, "%s: %s\n", say(zh, en), value) }
	partial := func(zh, en string, p *standard.Partial) {
		if p == nil {
			line(zh, en, say("未评定", "not assessed"))
			return
		}
		text := level(p.Level)
		if p.Level == nil {
			text += say("，工作级别 ", ", working level ") + name(book.LevelName(p.Working))
		}
		row, column := say(p.Row.ZH, p.Row.EN), say(p.Column.ZH, p.Column.EN)
		line(zh, en, fmt.Sprintf("%s [%s %s, %s, %s × %s]", text, p.Edition, p.Clause, p.Cell, row, column))
	}
	line("最终级别", "Final level", level(g.Final))
	line("工作级别", "Working level", name(book.LevelName(g.Working)))
	partial("由业务损失", "From business loss", g.FromLoss)
	partial("由社会危害", "From social harm", g.FromHarm)
	line("条款", "Clause", g.Edition+" "+g.Clause)
	line("单元格", "Cell", g.Cell)
	line("理由", "Reason", say(g.Reason.ZH, g.Reason.EN))
	if !g.Verified {
		line("注意", "Note", say("该单元格尚未与正式文本核对。", "this cell was not compared with the official text."))
	}
	fmt.Fprintln(&s, say("什么会改变级别:", "What would change it:"))
	for _, n := range g.Neighbours {
		text := level(n.Final)
		if n.Final == nil {
			text += say("，工作级别 ", ", working level ") + name(book.LevelName(n.Working))
		}
		fmt.Fprintf(&s, "  %s → %s: %s\n", factor[n.Factor], say(n.To.ZH, n.To.EN), text)
	}
	return s.String()
}
