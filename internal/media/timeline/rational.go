// SPDX-License-Identifier: Apache-2.0

package timeline

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
)

// Rational is an exact fraction, used for frame rates: 30000/1001, 25/1.
// The zero value is not a valid rate.
type Rational struct {
	Num int64 `json:"num"`
	Den int64 `json:"den"`
}

// ParseRational reads "30000/1001" or "25". Both parts must be positive; the
// result is reduced to lowest terms.
func ParseRational(s string) (Rational, error) {
	num, den, found := strings.Cut(s, "/")
	if !found {
		den = "1"
	}
	n, errN := strconv.ParseInt(num, 10, 64)
	d, errD := strconv.ParseInt(den, 10, 64)
	if errN != nil || errD != nil || n <= 0 || d <= 0 {
		return Rational{}, fmt.Errorf("frame rate %q is not a positive number or fraction such as 25 or 30000/1001", s)
	}
	return Rational{n, d}.Reduce(), nil
}

// Reduce returns the fraction in lowest terms.
func (r Rational) Reduce() Rational {
	a, b := r.Num, r.Den
	for b != 0 {
		a, b = b, a%b
	}
	if a == 0 {
		return r
	}
	return Rational{r.Num / a, r.Den / a}
}

// Valid says whether the rational can be a frame rate.
func (r Rational) Valid() bool { return r.Num > 0 && r.Den > 0 }

// String writes "25" or "30000/1001".
func (r Rational) String() string {
	if r.Den == 1 {
		return strconv.FormatInt(r.Num, 10)
	}
	return strconv.FormatInt(r.Num, 10) + "/" + strconv.FormatInt(r.Den, 10)
}

// Float is for messages and thresholds only; never compute times with it.
func (r Rational) Float() float64 { return float64(r.Num) / float64(r.Den) }

// MulDiv returns round(a*b/c), halves away from zero, with a 128-bit product.
// b must not be negative and c must be positive.
func MulDiv(a, b, c int64) int64 {
	neg := a < 0
	if neg {
		a = -a
	}
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	lo, carry := bits.Add64(lo, uint64(c)/2, 0)
	quo, _ := bits.Div64(hi+carry, lo, uint64(c))
	if neg {
		return -int64(quo)
	}
	return int64(quo)
}

// MulDivFloor returns floor(a*b/c) with a 128-bit product. b must not be
// negative and c must be positive.
func MulDivFloor(a, b, c int64) int64 {
	neg := a < 0
	if neg {
		a = -a
	}
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	quo, rem := bits.Div64(hi, lo, uint64(c))
	if !neg {
		return int64(quo)
	}
	if rem != 0 {
		quo++
	}
	return -int64(quo)
}
