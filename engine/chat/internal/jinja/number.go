package jinja

import (
	"math"
	"math/big"
)

// Integers are int64 where they fit and *big.Int where not, as Python knows no
// overflow; but they end at maxBits, so that no operation takes long.
const (
	maxBits   = 4096
	maxDigits = 1300
)

// normInt returns i as an int64 if it fits.
func normInt(i *big.Int) Value {
	if i.IsInt64() {
		return i.Int64()
	}
	if i.BitLen() > maxBits {
		failLimit("makes too large a number")
	}
	return i
}

// integer returns the value of an int or a bool. Larger ones than int64 give
// the nearest int64: they are counts and places, and out of any range.
func integer(v Value) (int64, bool) {
	switch x := v.(type) {
	case int64:
		return x, true
	case bool:
		if x {
			return 1, true
		}
		return 0, true
	case *big.Int:
		if x.Sign() < 0 {
			return math.MinInt64, true
		}
		return math.MaxInt64, true
	}
	return 0, false
}

// bigInt returns an int or bool as a big one, or nil.
func bigInt(v Value) *big.Int {
	if x, ok := v.(*big.Int); ok {
		return x
	}
	if i, ok := integer(v); ok {
		return big.NewInt(i)
	}
	return nil
}

// float returns a number as a float.
func float(v Value) (float64, bool) {
	switch x := v.(type) {
	case float64:
		return x, true
	case *big.Int:
		f, _ := new(big.Float).SetInt(x).Float64()
		if math.IsInf(f, 0) {
			fail("int too large to convert to float")
		}
		return f, true
	}
	i, ok := integer(v)
	return float64(i), ok
}

func isNumber(v Value) bool {
	switch v.(type) {
	case int64, float64, bool, *big.Int:
		return true
	}
	return false
}

// compareNumbers returns the sign of a-b; ok is false if one is no number or
// not a number (NaN). Integers and floats compare exactly.
func compareNumbers(a, b Value) (sign int, ok bool) {
	x, aFloat := a.(float64)
	y, bFloat := b.(float64)
	if i, ok := a.(int64); ok {
		if j, ok := b.(int64); ok {
			switch {
			case i < j:
				return -1, true
			case i > j:
				return 1, true
			}
			return 0, true
		}
	}
	switch {
	case !isNumber(a) || !isNumber(b) || math.IsNaN(x) || math.IsNaN(y):
		return 0, false
	case aFloat && math.IsInf(x, 0), bFloat && math.IsInf(y, 0), aFloat && bFloat:
		if !aFloat {
			x = 0
		}
		if !bFloat {
			y = 0
		}
		switch {
		case x < y:
			return -1, true
		case x > y:
			return 1, true
		}
		return 0, true
	}
	exact := func(v Value, f float64, isFloat bool) *big.Float {
		if isFloat {
			return big.NewFloat(f)
		}
		return new(big.Float).SetInt(bigInt(v))
	}
	return exact(a, x, aFloat).Cmp(exact(b, y, bFloat)), true
}

// arithNumbers computes a op b for numbers.
func (r *run) arithNumbers(op string, a, b Value) Value {
	_, aFloat := a.(float64)
	_, bFloat := b.(float64)
	if aFloat || bFloat {
		x, _ := float(a)
		y, _ := float(b)
		return arithFloats(op, x, y)
	}
	if x, ok := a.(int64); ok {
		if y, ok := b.(int64); ok {
			if v, ok := arithSmall(op, x, y); ok {
				return v
			}
		}
	}
	x, y := bigInt(a), bigInt(b)
	r.step(1 + (x.BitLen()*y.BitLen())>>14)
	r.alloc((x.BitLen() + y.BitLen()) >> 3)
	z := new(big.Int)
	switch op {
	case "+":
		return normInt(z.Add(x, y))
	case "-":
		return normInt(z.Sub(x, y))
	case "*":
		return normInt(z.Mul(x, y))
	case "**":
		return r.power(x, y)
	}
	if y.Sign() == 0 {
		fail("division by zero")
	}
	if op == "/" {
		if x.Sign() == 0 && y.Sign() < 0 {
			return math.Copysign(0, -1)
		}
		f, _ := new(big.Rat).SetFrac(x, y).Float64()
		if math.IsInf(f, 0) {
			fail("integer division result too large for a float")
		}
		return f
	}
	// Python rounds down, QuoRem to zero.
	m := new(big.Int)
	z.QuoRem(x, y, m)
	if m.Sign() != 0 && m.Sign() != y.Sign() {
		z.Sub(z, big.NewInt(1))
		m.Add(m, y)
	}
	if op == "//" {
		return normInt(z)
	}
	return normInt(m)
}

// arithSmall does the common cases that cannot overflow.
func arithSmall(op string, x, y int64) (Value, bool) {
	const half = 1 << 31
	switch op {
	case "+":
		z := x + y
		return z, (z > x) == (y > 0)
	case "-":
		z := x - y
		return z, (z < x) == (y > 0)
	case "*":
		return x * y, x > -half && x < half && y > -half && y < half
	case "//", "%":
		if y == 0 || y == -1 {
			return nil, false
		}
		q, m := x/y, x%y
		if m != 0 && (m < 0) != (y < 0) {
			q, m = q-1, m+y
		}
		if op == "%" {
			return m, true
		}
		return q, true
	}
	return nil, false
}

func (r *run) power(x, y *big.Int) Value {
	if y.Sign() < 0 {
		a, _ := float(normInt(x))
		b, _ := float(normInt(y))
		return arithFloats("**", a, b)
	}
	// |x| <= 1 stays small whatever the exponent.
	if x.BitLen() > 1 && (!y.IsInt64() || y.Int64() > maxBits) {
		failLimit("makes too large a number")
	}
	if x.BitLen() <= 1 {
		if x.Sign() < 0 && y.Bit(0) == 0 || y.Sign() == 0 {
			return int64(1)
		}
		return normInt(x)
	}
	r.step(256)
	if int64(x.BitLen()-1)*y.Int64() > maxBits {
		failLimit("makes too large a number")
	}
	return normInt(new(big.Int).Exp(x, y, nil))
}

func arithFloats(op string, x, y float64) Value {
	switch op {
	case "+":
		return x + y
	case "-":
		return x - y
	case "*":
		return x * y
	case "**":
		if x == 0 && y < 0 {
			fail("0.0 cannot be raised to a negative power")
		}
		if x < 0 && !math.IsInf(x, 0) && y != math.Trunc(y) {
			fail("complex numbers are not supported")
		}
		z := math.Pow(x, y)
		if math.IsInf(z, 0) && !math.IsInf(x, 0) && !math.IsInf(y, 0) {
			fail("Result too large")
		}
		return z
	}
	if y == 0 {
		fail("float division by zero")
	}
	if op == "/" {
		return x / y
	}
	// As Python's float_divmod: the remainder has the sign of the divisor.
	m := math.Mod(x, y)
	q := (x - m) / y
	if m != 0 {
		if (y < 0) != (m < 0) {
			m += y
			q--
		}
	} else {
		m = math.Copysign(0, y)
	}
	if op == "%" {
		return m
	}
	if q == 0 {
		return math.Copysign(0, x/y)
	}
	f := math.Floor(q)
	if q-f > 0.5 {
		f++
	}
	return f
}
