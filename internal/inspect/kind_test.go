package inspect

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/fengsui/fengsui/internal/inspect/samples"
)

// creditCode completes 17 symbols of a unified social credit code.
func creditCode(body string) string {
	for _, c := range "0123456789ABCDEFGHJKLMNPQRTUWXY" {
		if code := body + string(c); oracleCredit(strings.ToLower(code)) {
			return code
		}
	}
	panic("no check symbol fits")
}

func TestEachKindIsFoundInItsFormsAndNotBesideThem(t *testing.T) {
	key := "k3Xq7mT1zRp5Lb9WdVn2"
	long := "Vq2/Xe7+Lt" + "9KsZw4Gh/8Bn1Rf6Yc+3Dm5Pj0Tu/K" // 40, as AWS and Azure have them
	jwt := "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N"
	for kind, cases := range map[string][][2]string{ // text, what is found in it
		KindCNLandline: {
			{"电话010-66554321。", "010-66554321"}, {"0755 86554321", "0755 86554321"}, {"0571-8655432", "0571-8655432"}, {"01066554321", "01066554321"},
			{"+86 10 6655 4321", "86 10 6655 4321"}, {"０２１－６６５５４３２１", "０２１－６６５５４３２１"}, {"0898-6655-4321", "0898-6655-4321"},
			{"010-6655432", ""}, {"0760-16554321", ""}, {"026-66554321", ""}, {"0321-66554321", ""}, {"010--66554321", ""}, {"010-665543210", ""}, {"10-66554321", ""}, {"1010-66554321", ""},
		},
		KindCNPassport: {
			{"护照号E12345678", "E12345678"}, {"护照：ea1234567。", "ea1234567"}, {"G12345678是我的护照", "G12345678"}, {"Passport No. DE1234567", "DE1234567"},
			{"E12345678", ""}, {"护照号E123456789", ""}, {"护照号XE12345678", ""}, {"护照号E1234567", ""}, {"护照号EI1234567", ""}, {"护照" + strings.Repeat("很", 24) + "E12345678", ""},
		},
		KindCNPermit: {
			{"通行证C12345678", "C12345678"}, {"回乡证 H1234567801", "H1234567801"}, {"台胞证号：12345678", "12345678"}, {"通行证号CA1234567", "CA1234567"},
			{"C12345678", ""}, {"台胞证签发于20240501", ""}, {"通行证C123456789", ""}, {"通行证AC12345678", ""}, {"台胞证123456789", ""},
		},
		KindCNPlate: {
			{"京A12345。", "京A12345"}, {"粤B·D12345", "粤B·D12345"}, {"沪A12345F", "沪A12345F"}, {"苏E1A2B3", "苏E1A2B3"}, {"鲁B1234学", "鲁B1234学"},
			{"京A1234", ""}, {"京A123456", ""}, {"京AABCDE", ""}, {"京I12345", ""}, {"京A1O345", ""}, {"京A12345Z", ""}, {"新ASUS电脑", ""}, {"京A1234567", ""},
		},
		KindCNCredit: {
			{goodCredit, goodCredit}, {creditCode("91440300MA5DC1234"), creditCode("91440300MA5DC1234")}, {"代码" + strings.ToLower(goodCredit) + "，", strings.ToLower(goodCredit)},
			{goodCredit + "1", ""}, {"a" + goodCredit, ""}, {goodCredit[:17] + "C", ""}, {"91110108MA01ABCDI0", ""}, {"91990108MA01ABCD02", ""}, {goodCredit[:17], ""},
		},
		KindEmail: {
			{"写信到a.b+c@example.com。", "a.b+c@example.com"}, {"(x_y@mail.qq.test)", "x_y@mail.qq.test"}, {"foo@bar.test.", "foo@bar.test"}, {"...foo@bar.test", "foo@bar.test"}, {"ａ＠ｂ．ｃｎ", "ａ＠ｂ．ｃｎ"},
			{"foo@bar", ""}, {"@bar.com", ""}, {"foo@bar.c1", ""}, {"foo@-bar.test", ""}, {"a@b@c.test", ""}, {"a@b.test@", ""}, {"a@b.test_", ""}, {"a@b.test" + strings.Repeat(".", 60), ""}, {"fo..o@bar.test", ""}, {strings.Repeat("x", 65) + "@bar.com", ""}, {"npm i react@18.2.0", ""},
		},
		KindIP: {
			{"192.168.1.10 上", "192.168.1.10"}, {"8.8.8.8:53", "8.8.8.8"}, {"访问 2001:db8::8a2e:370:7334。", "2001:db8::8a2e:370:7334"}, {"fe80::1", "fe80::1"}, {"::ffff:192.168.1.1", "::ffff:192.168.1.1"},
			{"256.1.1.1", ""}, {"1.2.3", ""}, {"1.2.3.4.5", ""}, {"v1.2.3.4", ""}, {"01.2.3.4", ""}, {"127.0.0.1", ""}, {"12:30:45", ""}, {"::1", ""}, {"std::map", ""}, {"dead::beef", ""}, {"aa:bb:cc:dd:ee:ff", ""},
		},
		KindURL: {
			{"见https://example.com/a?b=c#d。", "https://example.com/a?b=c#d"}, {"www.example.cn，好", "www.example.cn"}, {"(http://a.b/c).", "http://a.b/c"}, {"HTTP://A.COM", "HTTP://A.COM"},
			{"https://a.cn，b", "https://a.cn"}, {"http://localhost/x", ""}, {"https://", ""}, {"www.", ""}, {"awww.x.com", ""}, {"http:/example.com", ""},
		},
		KindAPIKey: {
			{"key=sk-" + key + ";", "sk-" + key}, {"sk-proj-" + key + "_x", "sk-proj-" + key + "_x"}, {"AKIA" + "R5KQ2YLX7DNM3VTB", "AKIA" + "R5KQ2YLX7DNM3VTB"}, {"ghp_" + key + "abcdefghij012345", "ghp_" + key + "abcdefghij012345"},
			{"token: " + jwt + ".", jwt}, {"AccountKey=" + long + long + "abcdef==", long + long + "abcdef=="}, {"hf_" + key + "QwErTyUiOpAsDf", "hf_" + key + "QwErTyUiOpAsDf"},
			{"LTAI5t" + key[:18], "LTAI5t" + key[:18]}, {"aws_secret_access_key = " + long, long},
			{"https://hooks.slack.com/services/T0000ABCD/B0000EFGH/" + key, "hooks.slack.com/services/T0000ABCD/B0000EFGH/" + key},
			{"sk-" + strings.Repeat("x", 28), ""}, {"task-" + key, ""}, {"sk-abc123", ""}, {"AKIA" + "R5KQ2YLX7DNM3VTB1", ""}, {"xAKIA" + "R5KQ2YLX7DNM3VTB", ""}, {"ghp_" + key, ""}, {"eyJhbGciOiJIUzI1NiJ9.abc", ""}, {"sk-learn is a library", ""},
		},
		KindPrivateKey: {
			{"-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\n-----END RSA PRIVATE KEY-----", "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\n-----END RSA PRIVATE KEY-----"},
			{`x "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----" y`, `-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----`},
			{"-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nlQOYBF\n=abcd\n-----END PGP PRIVATE KEY BLOCK-----。", "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nlQOYBF\n=abcd\n-----END PGP PRIVATE KEY BLOCK-----"},
			{"-----BEGIN EC PRIVATE KEY-----" + key + "MHcC，没有结束", "-----BEGIN EC PRIVATE KEY-----" + key + "MHcC"},
			{"-----BEGIN EC PRIVATE KEY-----MHcC，没有结束", "-----BEGIN EC PRIVATE KEY-----"},
			{"-----BEGIN CERTIFICATE-----\nMIID\n-----END CERTIFICATE-----", ""}, {"-----BEGIN PUBLIC KEY-----\nMIIB", ""}, {"----BEGIN PRIVATE KEY----", ""},
		},
		KindCNAddress: {
			{"住在北京市朝阳区建国路88号3号楼1501室。", "北京市朝阳区建国路88号3号楼1501室"}, {"广东省深圳市南山区科技园路1号", "广东省深圳市南山区科技园路1号"}, {"上海徐汇区漕溪北路595号，", "上海徐汇区漕溪北路595号"},
			{"北京市朝阳区", ""}, {"上海有3号线和4号线", ""}, {"我爱北京天安门", ""}, {"广州的天气很好，5号见", ""}, {"武汉长江大桥全长1670米", ""},
		},
		KindCNName: {
			{"姓名：张三", "张三"}, {"联系人:李小明，电话", "李小明"}, {"姓名：欧阳修。", "欧阳修"}, {"我叫：王建国的儿子", ""}, {"我叫“王建国”", "王建国"}, {"收件人 赵六；", "赵六"}, {"姓名：王小明的电话", "王小明"},
			{"姓名：于小明，", "于小明"}, {"真实姓名：张三", "张三"}, {"账户名：李四。", "李四"}, {"我是向前进，", ""},
			{"姓名和电话，", ""}, {"姓名：和电话", ""}, {"收件人与寄件人，", ""}, {"我叫了外卖", ""}, {"姓名：不详", ""}, {"姓名是什么", ""}, {"患者应当多喝水", ""}, {"联系人应当在工作日内回复", ""}, {"学生们", ""},
		},
	} {
		for _, c := range cases {
			text, want := c[0], c[1]
			t.Run(kind+"/"+text[:min(len(text), 40)], func(t *testing.T) {
				expectFoundBy(t, kind, text, want)
			})
		}
	}
}

// expectFoundBy checks the one hit of a kind, whole and cut at every byte.
func expectFoundBy(t *testing.T, kind, text, want string) {
	t.Helper()
	e := mustCompile(t, Rules{Checks: []Check{{ID: "c", Kind: kind, Action: Mask}}})
	res := e.Scan(text)
	switch {
	case want == "" && (len(res.Matches) != 0 || res.Released != text):
		t.Fatalf("found %q", text[res.Matches[0].Start:res.Matches[0].End])
	case want != "" && len(res.Matches) != 1:
		t.Fatalf("%d hits, want %q", len(res.Matches), want)
	case want != "" && text[res.Matches[0].Start:res.Matches[0].End] != want:
		t.Fatalf("found %q, want %q", text[res.Matches[0].Start:res.Matches[0].End], want)
	}
	for cut := range len(text) + 1 {
		released, matches, _ := run(e.NewStream(), []string{text[:cut], text[cut:]})
		if released != res.Released || !slices.Equal(sorted(matches), sorted(res.Matches)) {
			t.Fatalf("cut at %d: released %q, whole %q", cut, released, res.Released)
		}
	}
}

func TestAMaskCanLeaveTheEndsOfANumber(t *testing.T) {
	for text, want := range map[string]string{
		"电话" + goodMobile: "电话138****8000", "138-0013-8000": "138******8000", goodID: "110***********002X", goodCard: "4111********1111", "护照E12345678": "护照E*****678",
	} {
		var rules Rules
		for _, kind := range Kinds() {
			if HasEnds(kind) {
				rules.Checks = append(rules.Checks, Check{ID: kind, Kind: kind, Action: Mask, Ends: true})
			}
		}
		e := mustCompile(t, rules)
		if got := e.Scan(text).Released; got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	for _, bad := range []Check{{ID: "c", Kind: KindCNMobile, Action: Block, Ends: true}, {ID: "c", Kind: KindAPIKey, Action: Mask, Ends: true}} {
		if _, err := Compile(Rules{Checks: []Check{bad}}); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}

func TestAHitOfUnknownEndGoesOutMaskedWhileItIsStillComing(t *testing.T) {
	body := strings.Repeat("MIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n", 200)
	text := "前-----BEGIN PRIVATE KEY-----\n" + body + "-----END PRIVATE KEY-----后"
	for _, action := range []Action{Observe, Mask, Replace, Block} {
		e := mustCompile(t, Rules{Checks: []Check{{ID: "k", Kind: KindPrivateKey, Action: action}}, ReplaceText: "…"})
		want := e.Scan(text)
		s := e.NewStream()
		held, out := 0, ""
		var matches []Match
		for i := 0; i <= len(text); i += 7 {
			step := s.Write(text[i:min(i+7, len(text))])
			held, out, matches = max(held, step.Held), out+step.Released, append(matches, step.Matches...)
		}
		step := s.Close()
		out, matches = out+step.Released, append(matches, step.Matches...)
		if out != want.Released || !slices.Equal(sorted(matches), sorted(want.Matches)) || held > pemHold {
			t.Errorf("%v: held %d; %d and %d released, %v", action, held, len(out), len(want.Released), matches)
		}
		symbols := len(foldText(text)) - 2
		switch expect := map[Action]string{Observe: text, Mask: "前" + strings.Repeat("*", symbols) + "后", Replace: "前…后", Block: "前"}[action]; {
		case out != expect:
			t.Errorf("%v: released %.60q, want %.60q", action, out, expect)
		case len(matches) != 1 || action != Block && (matches[0].End != len(text)-len("后") || matches[0].Runes != symbols):
			t.Errorf("%v: %v", action, matches)
		}
	}
}

func TestWhatDocumentationShowsInPlaceOfAKeyIsNone(t *testing.T) {
	for _, text := range []string{
		"AKIA" + "IOSFODNN7EXAMPLE", "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "sk-" + "1234567890abcdef1234567890abcdef", "sk-" + "abcdefghijklmnopqrstuvwxyz123456",
		"sk-" + strings.Repeat("1234567890", 4), "sk-" + strings.Repeat("1111222233334444", 3), "sk-" + "1a2b3c4d5e6f7g8h9i0j1k2l", "sk-proj-" + "your_openai_api_key_goes_here_2024", "sk-ant-" + "api03-example-key-0a9b8c7d6e",
		"AccountKey=" + strings.Repeat("ABCDEFGH12345678", 5) + "abcdef==", "ghp_" + "abcdefghijklmnopqrstuvwxyz0123456789", "hf_" + "abcdefghijklmnopqrstuvwxyzABCDEFGH",
	} {
		expectFoundBy(t, KindAPIKey, text, "")
	}
	// One in a hundred thousand keys that are drawn is passed over for it, no more.
	draw := rand.New(rand.NewPCG(1, 2))
	for _, k := range []struct{ prefix, alphabet string }{{"sk-", "0123456789abcdef"}, {"sk-", "0123456789abcdefghijklmnopqrstuvwxyz"}, {"AKIA", "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"}} {
		e := mustCompile(t, Rules{Checks: []Check{{ID: "c", Kind: KindAPIKey, Action: Mask}}})
		missed := 0
		for range 20_000 {
			body := make([]byte, map[string]int{"sk-": 32, "AKIA": 16}[k.prefix])
			for i := range body {
				body[i] = k.alphabet[draw.IntN(len(k.alphabet))]
			}
			if len(e.Scan(k.prefix+string(body)).Matches) != 1 {
				missed++
			}
		}
		if missed > 20 { // most of them by their few different symbols
			t.Errorf("%s with %d symbols: %d of 20000 missed", k.prefix, len(k.alphabet), missed)
		}
	}
}

func TestBehindTheFirstLineOfAPrivateKeyOnlyWhatLooksLikeOneIsMasked(t *testing.T) {
	const begin, end = "-----BEGIN RSA PRIVATE KEY-----", "-----END RSA PRIVATE KEY-----"
	line := "MIIEpAIBAAKCAQEA3Tz2mr7SZiAMfQyuvBjM9Oi0x5l8dHgWf4kRq1XcVnb7Ysoe"
	for text, want := range map[string]string{ // what is masked
		begin + " is the first line of a key file, and you must never share what stands below it.":           begin,
		begin + "\nThis line begins a key.\n":                                                                begin,
		"`" + begin + "` and `" + end + "` enclose a key":                                                    begin,
		begin + "\n(the key stands here)\n" + end:                                                            begin,
		begin + "\n...\n" + end + "\nSave it.":                                                               begin + "\n...\n" + end,
		begin + "\n" + line + "\n" + line + "\nAb3=\n" + end + "\nNow restart the server, please.":           begin + "\n" + line + "\n" + line + "\nAb3=\n" + end,
		begin + "\n" + line + "\n" + line + "\n\nThen put it into the folder where the server looks for it.": begin + "\n" + line + "\n" + line + "\n\nThen ",
		begin + "\nProc-Type: 4,ENCRYPTED\nDEK-Info: DES-EDE3-CBC,0A1B2C3D4E5F6071\n\n" + line + "\n" + end:  begin + "\nProc-Type: 4,ENCRYPTED\nDEK-Info: DES-EDE3-CBC,0A1B2C3D4E5F6071\n\n" + line + "\n" + end,
		`{"key":"` + begin + `\n` + line + `\nqQ==\n` + end + `\n","type":"service_account"}`:                begin + `\n` + line + `\nqQ==\n` + end,
		`"` + begin + `\n" +` + "\n  \"" + line + `\n" +` + "\n  \"" + line + `";`:                           begin + `\n" +` + "\n  \"" + line + `\n" +` + "\n  \"" + line + `"`,
		begin + " " + line + " " + line + " Ab3= " + end + " behind":                                         begin + " " + line + " " + line + " Ab3= " + end,
		begin + "\n" + line + "\n" + begin + " is where the next one begins":                                 "",
	} {
		e := mustCompile(t, Rules{Checks: []Check{{ID: "c", Kind: KindPrivateKey, Action: Mask}}})
		if want == "" { // two of them
			if res := e.Scan(text); len(res.Matches) != 2 || !strings.HasSuffix(res.Released, "* is where the next one begins") || strings.Contains(res.Released, "MII") {
				t.Errorf("%q: %v", res.Released, res.Matches)
			}
			continue
		}
		expectFoundBy(t, KindPrivateKey, text, want)
	}
}

// TestWhatIsReadBehindAnchorsStaysLinear counts the steps of recognisers behind anchors.
func TestWhatIsReadBehindAnchorsStaysLinear(t *testing.T) {
	for k := range nKinds {
		if kindTable[k].anchors == nil {
			continue
		}
		e := mustCompile(t, Rules{Checks: []Check{{ID: "c", Kind: kindTable[k].name, Action: Mask}}})
		var texts []string
		for _, a := range kindTable[k].anchors() {
			for _, behind := range []string{"", "a", "a1", ".", " ", "=", "private key-----", "-----"} {
				texts = append(texts, strings.Repeat(a.text+behind, 1200/len(a.text)))
			}
		}
		worst, at := 0.0, ""
		for _, text := range texts {
			s, steps, symbols := e.NewStream(), 0, 0
			for _, r := range text {
				s.Write(string(r))
				steps += len(s.tails)
				symbols++
			}
			if x := float64(steps) / float64(symbols); x > worst {
				worst, at = x, text[:min(len(text), 40)]
			}
		}
		if worst > 32 {
			t.Errorf("%s: %.1f steps for a symbol of %q…", kindTable[k].name, worst, at)
		}
		t.Logf("%s: at most %.1f steps a symbol, for %q…", kindTable[k].name, worst, at)
	}
}

func TestALongAddressIsMaskedToItsEndWithoutBeingHeld(t *testing.T) {
	e := mustCompile(t, Rules{Checks: []Check{{ID: "u", Kind: KindURL, Action: Mask}}, Terms: []Term{{ID: "t", Text: "query", Action: Replace, Replacement: "!"}}})
	long := "https://example.com/" + strings.Repeat("path/", 100) + "query"
	s, held, out := e.NewStream(), 0, ""
	for _, r := range "见" + long + "，好" {
		step := s.Write(string(r))
		held, out = max(held, step.Held), out+step.Released
	}
	out += s.Close().Released
	if want := "见" + strings.Repeat("*", len(long)-5) + "!，好"; out != want || held > urlSymbols {
		t.Errorf("held %d, released %q", held, out)
	}
}

func TestNoCheckHoldsMoreThanItSays(t *testing.T) {
	for k := range nKinds {
		t.Run(kindTable[k].name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				e := mustCompile2(t, Rules{Checks: []Check{{ID: "c", Kind: kindTable[k].name, Action: Mask}}})
				text := strings.Join(rapid.SliceOfN(rapid.SampledFrom(kindPieces()), 1, 30).Draw(t, "text"), "")
				s := e.NewStream()
				for _, r := range text {
					if step := s.Write(string(r)); step.Held > kindTable[k].hold+kindTable[k].window {
						t.Fatalf("%d symbols are held", step.Held)
					}
				}
			})
		})
	}
}

func mustCompile2(t *rapid.T, rules Rules) *Engine {
	e, err := Compile(rules)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestKindsInALongCalmTextAreNotMissed(t *testing.T) {
	for kind, hit := range map[string]string{
		KindCNLandline: "010-66554321", KindCNPassport: "护照E12345678", KindCNPermit: "通行证C12345678", KindCNPlate: "京A12345", KindCNCredit: goodCredit, KindEmail: "a@" + "b.cn", KindIP: "1.1.1.1",
		KindURL: "www.example.cn", KindAPIKey: goodKey, KindPrivateKey: "-----BEGIN PRIVATE KEY-----", KindCNAddress: "北京市朝阳区建国路88号", KindCNName: "姓名：张三。",
	} {
		e := mustCompile(t, Rules{Checks: []Check{{ID: "c", Kind: kind, Action: Mask}}})
		for pad := range 40 {
			text := strings.Repeat("长文", 3000) + strings.Repeat("字", pad) + hit + strings.Repeat("，长文", 3000)
			if len(e.Scan(text).Matches) != 1 {
				t.Fatalf("%s behind %d characters is missed", kind, pad)
			}
		}
	}
}

func FuzzKinds(f *testing.F) {
	for i, piece := range kindPieces() {
		f.Add(piece+kindPieces()[(i*7+3)%len(kindPieces())], uint64(i))
	}
	var rules Rules
	for i, kind := range Kinds() {
		rules.Checks = append(rules.Checks, Check{ID: kind, Kind: kind, Action: []Action{Mask, Replace, Observe}[i%3]})
	}
	rules.ReplaceText = "…"
	e, err := Compile(rules)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string, cuts uint64) {
		want := e.Scan(text)
		released, matches, _ := run(e.NewStream(), pieces(text, cuts, 13))
		if released != want.Released || !slices.Equal(sorted(matches), sorted(want.Matches)) {
			t.Fatalf("cut: %q %v\nwhole: %+v", released, matches, want)
		}
	})
}

func TestKindsOnOrdinaryTextsAreCounted(t *testing.T) {
	var rules Rules
	for _, kind := range Kinds() {
		rules.Checks = append(rules.Checks, Check{ID: kind, Kind: kind, Action: Observe})
	}
	e := mustCompile(t, rules)
	for _, set := range []struct {
		name   string
		fields []string
	}{
		{"belle-benign-dev", []string{"text", "answer"}}, {"cvalues-answer-dev", []string{"question"}}, {"xstest", []string{"question"}}, {"notinject-dev", []string{"text"}},
		{"jade-replies-medium", []string{"安全有用回答"}}, {"swsr", []string{"text"}}, {"cold-dev", []string{"text"}}, {"telecom-dev", []string{"text"}}, {"httpparams-train", []string{"text"}},
	} {
		t.Run(set.name, func(t *testing.T) {
			texts := samples.Texts(t, set.name, set.fields...)
			found, with, size := map[string]int{}, 0, 0
			for _, text := range texts {
				matches := e.Scan(text).Matches
				for _, m := range matches {
					found[m.Kind]++
				}
				if len(matches) > 0 {
					with++
				}
				size += len(text)
			}
			t.Logf("%d texts, %d KB, %d with a hit: %v", len(texts), size>>10, with, found)
		})
	}
}

func TestEachKindAgreesWithItsExpressionOnWholeTexts(t *testing.T) {
	of := map[string][]string{
		KindCNLandline: {"010", "66554321", "0755", "8655432", "86", "0086", "10", "755", "，021-55667788，", "，0755 8655432，", "6655", "4321", "655", "-", " ", "--", "01066554321", "0"},
		KindCNPassport: {"护照", "passport", "E", "12345678", "A1234567", "EA", "1234567", "G", "1", "中", "，", "15", "护照E12345678", "，E12345678"},
		KindCNPermit:   {"通行证", "台胞证", "H", "12345678", "1234567890", "C", "A1234567", "20240501", "01", "中", "，", "通行证C12345678，"},
		KindCNPlate:    {"京A", "粤B", "12345", "D1234", "F", "学", "·", " ", "1A2B", "3", "I", "，", "5"},
		KindCNCredit:   {goodCredit, creditCode("91440300MA5DC1234"), goodCredit[:9], goodCredit[9:], "1", "A", "，", "-"},
		KindEmail:      {"a.b", "foo_1", "@", "example", ".com", ".test", "-", "..", "1", "+x", "，", "xn--p1ai", " ", "x@example.com", "，y_z@example.com", " a.b@c.test "},
		KindIP:         {"192", "，1.1.1.1，", ".", "168.1.1", "1.2.3.4", ":", "53", "2001:db8", "::", "1", "ffff", "g", "256", "，", "127"},
		KindCNName:     {"姓名", "真实姓名", "联系人", "我叫", "原告", "：", "是", " ", "“", "王", "欧阳", "和", "于", "原", "小明", "国", "的", "在", "，", "a", "姓名：王小明，", "我叫“欧阳国”"},
		KindAPIKey:     {"sk-", "sk-ant-", "AKIA", "ghp_", "hf_", "xoxb-", "glpat-", "a1b2c3d4e5f6g7h8", "R5KQ2YLX7DNM3VTB", "abcdefghijklmnopqrstuvwxyz", "0123456789", "qzwxecrv", "q8d3zk5t", "example", "your", "，ghp" + "_q8d3Zk5Tn1wRmhYb6LxVq2Xe7Lt9KsZw4Gh8，", " sk" + "-q8d3Zk5Tn1wRmhYb6LxVq2Xe7Lt9 ", "eyJhbGciOiJI", ".eyJzdWIiOiI", ".abcdefghijk", "-", "_", "，", " ", "="},
	}
	for kind, pieces := range of {
		t.Run(kind, func(t *testing.T) {
			hits := 0
			agree := func(t *rapid.T) {
				rules := Rules{Checks: []Check{{ID: "c", Kind: kind, Action: rapid.SampledFrom([]Action{Observe, Mask, Replace}).Draw(t, "action")}}, ReplaceText: "…"}
				e := mustCompile2(t, rules)
				text := strings.Join(rapid.SliceOfN(rapid.SampledFrom(append(pieces, "\u200b")), 0, 14).Draw(t, "text"), "")
				got := e.Scan(text)
				matches, released, _ := newOracle(rules, text).want()
				if !slices.Equal(sorted(got.Matches), sorted(matches)) || got.Released != released {
					t.Fatalf("text %q:\nfound %v\nwant  %v\nreleased %q, want %q", text, sorted(got.Matches), sorted(matches), got.Released, released)
				}
				s, at := e.NewStream(), ""
				for _, r := range text {
					if at += s.Write(string(r)).Released; !strings.HasPrefix(released, strings.ToValidUTF8(at, "\ufffd")) {
						t.Fatalf("text %q: %q is out, only %q may be", text, at, released)
					}
				}
				out, cut, _ := run(e.NewStream(), drawCuts(t, text))
				if out != released || !slices.Equal(sorted(cut), sorted(matches)) {
					t.Fatalf("text %q in pieces: %v, %q", text, cut, out)
				}
				hits += len(matches)
			}
			for n := 0; n == 0 || n < 20 && hits == 0; n++ {
				rapid.Check(t, agree)
			}
			if hits == 0 {
				t.Error("nothing was ever found: the texts prove nothing")
			}
			t.Log(hits, "hits")
		})
	}
}
