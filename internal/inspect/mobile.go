package inspect

// mobileDigits of a mobile number in China; with the country code 86 two more.
const mobileDigits = 11

// mobileShape is how a mobile number is printed in groups.
var mobileShape = [3]int{3, 4, 4}

// validMobile tells whether digits are a mobile number: 13 to 19 and nine more,
// 86 before it allowed.
func validMobile(digits []byte) bool {
	if len(digits) == mobileDigits+2 && digits[0] == '8' && digits[1] == '6' {
		digits = digits[2:]
	}
	return len(digits) == mobileDigits && digits[0] == '1' && digits[1] >= '3'
}

// mobilePrefix tells whether a group of digits may be the beginning of one.
func mobilePrefix(group []byte) bool {
	if len(group) == 0 || len(group) > mobileDigits+2 {
		return false
	}
	if group[0] == '8' {
		if len(group) == 1 {
			return true
		}
		if group[1] != '6' {
			return false
		}
		group = group[2:]
		if len(group) == 0 {
			return true
		}
	}
	return len(group) <= mobileDigits && group[0] == '1' && (len(group) == 1 || group[1] >= '3')
}
