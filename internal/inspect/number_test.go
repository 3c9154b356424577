package inspect

import (
	"strings"
	"testing"
)

// withCheck completes 17 digits by the weights of GB 11643, written out here
// a second time so that the tests do not lean on the code under test.
func withCheck(body string) string {
	sum, weight := 0, 1
	for i := len(body) - 1; i >= 0; i-- {
		weight = weight * 2 % 11
		sum += int(body[i]-'0') * weight
	}
	return body + string("0123456789X"[(12-sum%11)%11])
}

// withLuhn completes a card number.
func withLuhn(body string) string {
	for _, last := range "0123456789" {
		sum := 0
		digits := body + string(last)
		for i := range digits {
			d := int(digits[len(digits)-1-i] - '0')
			if i%2 == 1 {
				d = d*2/10 + d*2%10
			}
			sum += d
		}
		if sum%10 == 0 {
			return digits
		}
	}
	panic("no check digit fits")
}

func TestIdentityNumberIsFoundByItsCheckCharacterRegionAndDate(t *testing.T) {
	e := mustCompile(t, Rules{Checks: []Check{{ID: "id", Kind: KindCNID, Action: Mask}}})
	full := strings.NewReplacer("0", "０", "1", "１", "2", "２", "3", "３", "4", "４", "5", "５", "9", "９", "X", "Ｘ")
	broken := []byte(goodID)
	broken[16] = '3'
	for _, tt := range []struct {
		name, text string
		want       string // what is found, "" for nothing
	}{
		{"the printed example", goodID, goodID},
		{"lower-case x", "号码" + strings.ToLower(goodID) + "。", strings.ToLower(goodID)},
		{"all digits", "id=" + withCheck("11010119900307123") + ";", withCheck("11010119900307123")},
		{"full width", full.Replace(goodID), full.Replace(goodID)},
		{"with invisible characters", "1101\u200b0519491231\ufe0f002X", "1101\u200b0519491231\ufe0f002X"},
		{"next to letters", "ID" + goodID + "Y", goodID},
		{"leap day", withCheck("11010120000229123"), withCheck("11010120000229123")},
		{"resident from Hong Kong", withCheck("81000019900307123"), withCheck("81000019900307123")},
		{"foreign permanent resident", withCheck("91115619900307123"), withCheck("91115619900307123")},

		{"wrong check character", string(broken), ""},
		{"no such leap day", withCheck("11010119000229123"), ""},
		{"month 13", withCheck("11010119901307123"), ""},
		{"day 31 in April", withCheck("11010119900431123"), ""},
		{"day 0", withCheck("11010119900400123"), ""},
		{"born before 1900", goodIDOnly, ""},
		{"born after 2099", withCheck("11010121000101123"), ""},
		{"no such province", withCheck("16010119900307123"), ""},
		{"digit before", "1" + goodID, ""},
		{"digit behind", withCheck("11010119900307123") + "1", ""},
		{"digit behind the X", goodID + "1", ""},
		{"inside a longer run", "99" + withCheck("11010119900307123") + "99", ""},
		{"17 digits", goodID[:17], ""},
		{"x alone in place", goodID[:16] + "XX", ""},
		{"separated", "110105 19491231 002X", ""},
	} {
		t.Run(tt.name, func(t *testing.T) { expectFound(t, e, tt.text, tt.want) })
	}
}

func TestCardNumberIsFoundByLuhnLengthAndIssuer(t *testing.T) {
	e := mustCompile(t, Rules{Checks: []Check{{ID: "card", Kind: KindBankCard, Action: Mask}}})
	for _, tt := range []struct {
		name, text string
		want       string
	}{
		{"16 digits", goodCard, goodCard},
		{"13 digits", "4222222222222", "4222222222222"},
		{"15 digits", "378282246310005", "378282246310005"},
		{"14 digits", "30569309025904", "30569309025904"},
		{"19 digits of UnionPay", withLuhn("621234567890123456"), withLuhn("621234567890123456")},
		{"spaces", "卡号 4111 1111 1111 1111。", "4111 1111 1111 1111"},
		{"hyphens", "4111-1111-1111-1111", "4111-1111-1111-1111"},
		{"full width with ideographic spaces", "４１１１　１１１１　１１１１　１１１１", "４１１１　１１１１　１１１１　１１１１"},
		{"Amex shape", "3782 822463 10005", "3782 822463 10005"},
		{"digit by digit", "4-1-1-1-1-1-1-1-1-1-1-1-1-1-1-1", "4-1-1-1-1-1-1-1-1-1-1-1-1-1-1-1"},
		{"with a trailing space", "4111 1111 1111 1111 ", "4111 1111 1111 1111"},
		{"behind another number", "2024 4111 1111 1111 1111", "4111 1111 1111 1111"},
		{"before another number", "4111 1111 1111 1111 12", "4111 1111 1111 1111"},
		{"next to letters", "a" + goodCard + "b", goodCard},
		{"invisible characters", "4111\u200b111111111111", "4111\u200b111111111111"},

		{"Luhn fails", "4111111111111112", ""},
		{"unknown issuer", withLuhn("100000000000000"), ""},
		{"length that the issuer does not use", withLuhn("41111111111111"), ""},
		{"12 digits", withLuhn("41111111111"), ""},
		{"20 digits", withLuhn("6212345678901234567"), ""},
		{"a card inside a longer run", "99999" + goodCard + "9", ""},
		{"two separators", "4111  1111  1111  1111", ""},
		{"another separator", "4111.1111.1111.1111", ""},
		{"a date and a time", "2024-05-06 12-30-00", ""},
		{"half a card", "4111 1111 1111", ""},
	} {
		t.Run(tt.name, func(t *testing.T) { expectFound(t, e, tt.text, tt.want) })
	}
	two := "4111 1111 1111 1111 5555 5555 5555 4444"
	if got := e.Scan(two); len(got.Matches) != 2 || strings.ContainsAny(got.Released, "145") {
		t.Errorf("two cards in a row: %+v", got)
	}
}

// expectFound checks the one hit in text, whole and cut at every byte, and
// that nothing of it gets out.
func expectFound(t *testing.T, e *Engine, text, want string) {
	t.Helper()
	res := e.Scan(text)
	if want == "" {
		if len(res.Matches) != 0 || res.Released != text {
			t.Fatalf("%q: found %+v", text, res.Matches)
		}
	} else {
		if len(res.Matches) != 1 || text[res.Matches[0].Start:res.Matches[0].End] != want {
			t.Fatalf("%q: found %+v, want %q", text, res.Matches, want)
		}
		at := strings.Index(text, want)
		if masked := text[:at] + strings.Repeat("*", res.Matches[0].Runes) + text[at+len(want):]; res.Released != masked {
			t.Fatalf("released %q, want %q", res.Released, masked)
		}
	}
	for cut := range len(text) + 1 {
		released, matches, _ := run(e.NewStream(), []string{text[:cut], text[cut:]})
		if released != res.Released || len(matches) != len(res.Matches) {
			t.Fatalf("cut at %d: released %q found %v", cut, released, matches)
		}
	}
	var bytes []string
	for i := range len(text) {
		bytes = append(bytes, text[i:i+1])
	}
	if released, _, _ := run(e.NewStream(), bytes); released != res.Released {
		t.Fatalf("byte by byte: released %q", released)
	}
}

func TestMobileAndOldIdentityNumbers(t *testing.T) {
	e := mustCompile(t, Rules{Checks: []Check{{ID: "m", Kind: KindCNMobile, Action: Mask}, {ID: "o", Kind: KindCNID15, Action: Mask}}})
	for text, want := range map[string]string{
		"电话13800138000。":            "电话***********。",
		"138 0013 8000":             "*************",
		"138-0013-8000，":            "*************，",
		"+86 138-0013-8000":         "+86 *************",
		"8613800138000":             "*************",
		"１３８００１３８０００":               "***********",
		"12800138000":               "12800138000",   // no such prefix
		"138001380001":              "138001380001",  // part of something longer
		"1380013800":                "1380013800",    // too short
		"1380 0138 000":             "1380 0138 000", // not so grouped
		"138  0013 8000":            "138  0013 8000",
		"编号110105491231002":         "编号***************",
		"110105491331002":           "110105491331002", // there is no month 13
		"990105491231002":           "990105491231002", // nor a province 99
		"1380013800 0 138-0013 800": "1380013800 0 138-0013 800",
	} {
		if got := e.Scan(text).Released; got != want {
			t.Errorf("%q: released %q, want %q", text, got, want)
		}
		released, _, _ := run(e.NewStream(), tokens(text, 1, 3))
		if released != want {
			t.Errorf("%q in pieces: released %q, want %q", text, released, want)
		}
	}
}

func TestNumbersInALongCalmTextAreNotMissed(t *testing.T) {
	e := mustCompile(t, Rules{Checks: []Check{{ID: "m", Kind: KindCNMobile, Action: Mask}, {ID: "c", Kind: KindBankCard, Action: Mask}}})
	for _, number := range []string{goodMobile, "138 0013 8000", goodCard, "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1"} {
		for pad := range 40 { // at each place of the sampling
			text := strings.Repeat("长文", 3000) + strings.Repeat("字", pad) + number + strings.Repeat("长文", 3000)
			if len(e.Scan(text).Matches) != 1 {
				t.Fatalf("%q behind %d characters is missed", number, pad)
			}
		}
	}
}
