"""The CUDA text of the GPU back end: one Body per operation, and the ways to walk an array with it.

Nothing here imports CuPy or touches a device; _gpu.py makes kernels of these sources and calls them.  The formulas are
those of src/activations.h: the macros below are its v_ vocabulary, one lane at a time, and a new word gets its line
there.  Everything is computed in C, float32 for float16, bfloat16 and float32, double for float64; nothing else is.
On CUDA this float32 is a type of its own, SINGLE, and the text takes arrays and numbers into C with pyleaky_read and
out of it with (pyleaky_plain): a plain float that computes would flush subnormal numbers.
The text is C as well as C++, so that a host compiler can run it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from . import _core

# No contraction into fma: the bits are those of the CPU.  Hexadecimal numbers need C++17 (CuPy 13 has C++11).  CuPy
# puts -ftz=true behind these options, so that an option cannot keep subnormal numbers: SINGLE does.
OPTIONS = ("--fmad=false", "--std=c++17")

# expm1(r) = r + r^2 * polynomial(r) for |r| <= ln(2)/2, fitted at Chebyshev nodes from the lowest coefficient on, each
# rounded before the next is fitted.  Relative error of the polynomial: 2^-27.8 (float), 2^-60.2 (double).
# ln 2 is a sum of two; its first part times n, taken from x in one fma, leaves an exact difference.  MAGIC rounds to an
# integer when added, whose low bits then hold it.  Below NEAR 2^n is a normal number.  Beyond FAR the result is 0 or
# infinite whatever the other factors are.  Factors outside 1/LARGE..LARGE are scaled by STEP = 2^STEP_BITS, after which
# no product of two of them overflows or becomes subnormal, nor does one within 1/SAFE..SAFE in the rest of the way.
# 2^LEAST and 2^MOST are the least and the largest power of two that is a normal number.  INTEGERS are plain int in C.
INTEGERS = ("MANTISSA", "ONE", "NEAR", "FAR", "STEP_BITS", "LEAST", "MOST")
FLOAT = {
    "F": "f",
    "BITS": "unsigned int",
    "MANTISSA": "23",
    "ONE": "0x3f800000u",
    "MAX": "0x1.fffffep127",
    "TINY": "0x1p-26",
    "LOG2_E": "0x1.715476p+0",  # 1.44269502
    "LN2_HIGH": "0x1.62e43p-1",  # 0.693147182
    "LN2_LOW": "-0x1.05c61p-29",  # -1.90465421e-09
    "MAGIC": "0x1.8p23",
    "NEAR": "87",
    "FAR": "400",
    "SAFE": "0x1p100",
    "LARGE": "0x1p48",
    "STEP": "0x1p96",
    "STEP_BITS": "96",
    "LEAST": "-126",
    "MOST": "127",
    "POLYNOMIAL": "0x1p-1 0x1.555556p-3 0x1.555502p-5 0x1.110fc8p-7 0x1.6d2e0ep-10 0x1.a2cb4ep-13",
}
DOUBLE = {
    "F": "",
    "BITS": "unsigned long long",
    "MANTISSA": "52",
    "ONE": "0x3ff0000000000000ull",
    "MAX": "0x1.fffffffffffffp1023",
    "TINY": "0x1p-55",
    "LOG2_E": "0x1.71547652b82fep+0",  # 1.4426950408889634
    "LN2_HIGH": "0x1.62e42fefa39efp-1",  # 0.6931471805599453
    "LN2_LOW": "0x1.abc9e3b39803fp-56",  # 2.3190468138462996e-17
    "MAGIC": "0x1.8p52",
    "NEAR": "708",
    "FAR": "2400",
    "SAFE": "0x1p900",
    "LARGE": "0x1p400",
    "STEP": "0x1p768",
    "STEP_BITS": "768",
    "LEAST": "-1022",
    "MOST": "1023",
    "POLYNOMIAL": "0x1p-1 0x1.5555555555555p-3 0x1.5555555555556p-5 0x1.111111111137fp-7 0x1.6c16c16c15ff7p-10 "
    "0x1.a01a019ea7dcfp-13 0x1.a01a01a81abcdp-16 0x1.71de405c9da8fp-19 0x1.27e4d810c25p-22 0x1.ae4d72331ddap-26 "
    "0x1.1f78f0e4db6p-29 0x1.81c267ae34379p-33",
}

# Between types, subnormals kept; the arguments are of any floating-point type.
CONVERSIONS = """
#ifdef __CUDACC__
__device__ inline float pyleaky_float(float x) { return x; }
__device__ inline double pyleaky_double(double x) { return x; }
__device__ inline float pyleaky_float(double x)
{
    float result;
    asm("cvt.rn.f32.f64 %0, %1;" : "=f"(result) : "d"(x));
    return result;
}
__device__ inline double pyleaky_double(float x)
{
    double result;
    asm("cvt.f64.f32 %0, %1;" : "=d"(result) : "f"(x));
    return result;
}
#else
#define pyleaky_float(x) ((float)(x))
#define pyleaky_double(x) ((double)(x))
#endif
"""

# float32 on CUDA, in PTX, which -ftz=true leaves alone.  All conversions but that of an int are explicit, so that no
# plain float gets into an expression.  The compiler computes nothing of this type in advance: constants are literals.
SINGLE = """
typedef float pyleaky_plain;
#define pyleaky_read(x) ((C)(x))
#define PYLEAKY_LITERAL(number) ((C)number##f)
#ifdef __CUDACC__
struct pyleaky_single {
    float value;
    pyleaky_single() = default;
    __device__ pyleaky_single(int number) : value((float)number) {}
    template <typename Number> __device__ explicit pyleaky_single(const Number &number) : value((float)number) {}
    __device__ explicit operator float() const { return value; }
};
typedef pyleaky_single C;

#define PYLEAKY_OPERATION(name, ptx) \
    __device__ inline C name(C a, C b) \
    { \
        C result; \
        asm(ptx ".f32 %0, %1, %2;" : "=f"(result.value) : "f"(a.value), "f"(b.value)); \
        return result; \
    }
PYLEAKY_OPERATION(operator+, "add.rn")
PYLEAKY_OPERATION(operator-, "sub.rn")
PYLEAKY_OPERATION(operator*, "mul.rn")
PYLEAKY_OPERATION(operator/, "div.rn")

#define PYLEAKY_SIGN(name, ptx) \
    __device__ inline C name(C a) \
    { \
        C result; \
        asm(ptx ".f32 %0, %1;" : "=f"(result.value) : "f"(a.value)); \
        return result; \
    }
PYLEAKY_SIGN(operator-, "neg")
PYLEAKY_SIGN(pyleaky_abs, "abs")

#define PYLEAKY_COMPARISON(name, ptx) \
    __device__ inline bool name(C a, C b) \
    { \
        int result; \
        asm("{ .reg .pred holds; setp." ptx ".f32 holds, %1, %2; selp.s32 %0, 1, 0, holds; }" \
            : "=r"(result) : "f"(a.value), "f"(b.value)); \
        return result; \
    }
PYLEAKY_COMPARISON(operator<, "lt")
PYLEAKY_COMPARISON(operator>, "gt")
PYLEAKY_COMPARISON(operator<=, "le")
PYLEAKY_COMPARISON(operator==, "eq")
PYLEAKY_COMPARISON(operator!=, "neu")

__device__ inline C pyleaky_fma(C a, C b, C c)
{
    C result;
    asm("fma.rn.f32 %0, %1, %2, %3;" : "=f"(result.value) : "f"(a.value), "f"(b.value), "f"(c.value));
    return result;
}
#else
typedef float C;
#define pyleaky_fma fmaf
#define pyleaky_abs fabsf
#endif
"""

# The same names for float64, which nothing flushes.
WIDE = """
typedef double C, pyleaky_plain;
#define pyleaky_read(x) pyleaky_double(x)
#define PYLEAKY_LITERAL(number) number
#define pyleaky_fma fma
#define pyleaky_abs fabs
"""

VOCABULARY = """
#define v_set(c) ((C)(c))
#define v_gt(a, b) ((a) > (b))
#define v_lt(a, b) ((a) < (b))
#define v_select(m, a, b) ((m) ? (a) : (b))
#define v_mul(a, b) ((a) * (b))
#define v_add(a, b) ((a) + (b))
#define v_sub(a, b) ((a) - (b))
#define v_max(a, b) ((a) > (b) ? (a) : (b))
#define v_min(a, b) ((a) < (b) ? (a) : (b))
#define v_div(a, b) ((a) / (b))
#define v_expm1(alpha, x) pyleaky_expm1(alpha, 0, x, 0)
#define v_exp(alpha, x, grad) pyleaky_exp(alpha, x, 0, grad)
#define v_expm1_div(alpha, x) pyleaky_expm1_div(alpha, x)
#define v_exp_div(x, alpha, grad) pyleaky_exp_div(x, alpha, grad)
/* A constant c is the sum of two of type C, high and low, and its name stands for them and for ratio, low / high. */
#define w_expm1(c, x) pyleaky_expm1_of(c, x)
#define w_exp(c, x, grad) pyleaky_exp_of(c, x, grad)
#define w_mul(c, x) pyleaky_mul_of(c, x)
#define w_add(c, x) pyleaky_add_of(c, x)
#define pyleaky_expm1_of(high, low, ratio, x) pyleaky_expm1(high, low, x, 0)
#define pyleaky_exp_of(high, low, ratio, x, grad) pyleaky_exp(high, x, ratio, grad)
#define pyleaky_mul_of(high, low, ratio, x) pyleaky_product(high, low, x, 0, x)
#define pyleaky_add_of(high, low, ratio, x) \\
    pyleaky_total(pyleaky_plus(pyleaky_pair_of(high, low), pyleaky_pair_of(x, 0)))
#define w_select(m, a, b) ((m) ? (a) : (b))
#define w_round(a) (a)
"""

# What has more digits than C is an unevaluated sum of two C.
PAIRS = """
typedef struct { C high, low; } pyleaky_pair;

#define PYLEAKY_NOTHING pyleaky_pair_of(PYLEAKY_LITERAL(-0.0), 0) /* a sum of one element keeps the sign of a zero */

__device__ inline pyleaky_pair pyleaky_pair_of(C high, C low)
{
    pyleaky_pair pair;
    pair.high = high;
    pair.low = low;
    return pair;
}

/* Knuth's TwoSum of the high parts; what it cuts off goes to the low one.  high alone is the plain sum, so that it is
 * right where it overflows and low becomes NaN. */
__device__ inline pyleaky_pair pyleaky_plus(pyleaky_pair a, pyleaky_pair b)
{
    const C sum = a.high + b.high, second = sum - a.high;
    return pyleaky_pair_of(sum, a.low + b.low + ((a.high - (sum - second)) + (b.high - second)));
}

/* An infinite or too large product has no rest. */
__device__ inline pyleaky_pair pyleaky_two_product(C a, C b)
{
    const C product = a * b;
    return pyleaky_pair_of(product, pyleaky_fma(a, b, -product));
}

__device__ inline C pyleaky_total(pyleaky_pair pair)
{
    return pair.low - pair.low == 0 ? pair.high + pair.low : pair.high;
}
"""

EXPONENTIAL = """
/* (c + c_low) * (high + low) in little more than one rounding; `whole` is what high + low rounds to, with its sign
 * where it is 0, and stands in where the parts would cancel infinities. */
__device__ inline C pyleaky_product(C c, C c_low, C high, C low, C whole)
{
    const C y = pyleaky_fma(c, high, pyleaky_fma(c, low, c_low * high));
    return y != 0 && pyleaky_abs(y) <= PYLEAKY_MAX ? y : c * whole;
}

/* exp(x + low) = 2^n * (1 + r + rest), whose last two are returned, and n plus MAGIC. */
__device__ inline C pyleaky_reduce(C x, C low, C *r, C *rest)
{
    const C shifted = pyleaky_fma(x, PYLEAKY_LOG2_E, PYLEAKY_MAGIC), n = shifted - PYLEAKY_MAGIC;
    *r = pyleaky_fma(-n, PYLEAKY_LN2_HIGH, x);
    const C second = pyleaky_fma(-n, PYLEAKY_LN2_LOW, low), square = *r * *r * PYLEAKY_POLYNOMIAL(*r);
    *rest = square + pyleaky_fma(second, *r + square, second);
    return shifted;
}

__device__ inline PYLEAKY_BITS pyleaky_bits(C x)
{
    PYLEAKY_BITS bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* 2^n, where that is a normal number; of n only the low bits count. */
__device__ inline C pyleaky_power(PYLEAKY_BITS n)
{
    C power;
    n = (n << PYLEAKY_MANTISSA) + PYLEAKY_ONE;
    memcpy(&power, &n, sizeof power);
    return power;
}

__device__ inline int pyleaky_exponent(int n)
{
    return n < PYLEAKY_LEAST ? PYLEAKY_LEAST : n > PYLEAKY_MOST ? PYLEAKY_MOST : n;
}

/* factor * 2^n, rounded once, for a factor that is 0, infinite, NaN, or a product of two from pyleaky_scaled.  Where
 * the first of the two products overflows or becomes subnormal, 2^last takes it on to infinity or to 0. */
__device__ inline C pyleaky_ldexp(C factor, int n)
{
    const int last = pyleaky_exponent(n), first = pyleaky_exponent(n - last);
    return factor * pyleaky_power(first) * pyleaky_power(last);
}

/* Into the range where products keep all their digits; what that takes is added to n. */
__device__ inline C pyleaky_scaled(C factor, int *n)
{
    const C size = pyleaky_abs(factor);
    const int steps = size > PYLEAKY_LARGE ? -1 : size < PYLEAKY_INVERSE_LARGE ? 1 : 0;
    *n -= steps * PYLEAKY_STEP_BITS;
    return steps ? factor * (steps > 0 ? PYLEAKY_STEP : PYLEAKY_INVERSE_STEP) : factor;
}

/* c * exp(x + low) * grad, where only the result itself can overflow or lose digits to a subnormal. */
__device__ inline C pyleaky_exp(C c, C x, C low, C grad)
{
    const C clamped = x < -PYLEAKY_FAR ? -PYLEAKY_FAR : x > PYLEAKY_FAR ? PYLEAKY_FAR : x;
    C r, rest;
    const C shifted = pyleaky_reduce(clamped, low, &r, &rest), less_one = r + rest;
    const C product = c * grad, size = pyleaky_abs(product);
    if (size > PYLEAKY_INVERSE_SAFE && size < PYLEAKY_SAFE && pyleaky_abs(x) < PYLEAKY_NEAR)
        return pyleaky_fma(product, less_one, product) * pyleaky_power(pyleaky_bits(shifted));
    int n = (int)(pyleaky_bits(shifted) - pyleaky_bits(PYLEAKY_MAGIC));
    const C scaled = pyleaky_scaled(c, &n) * pyleaky_scaled(grad, &n);
    return pyleaky_ldexp(scaled * (1 + less_one), n);
}

/* (c + c_low) * expm1(x + low).  Beyond 40 either way the 1 is below the last place. */
__device__ inline C pyleaky_expm1(C c, C c_low, C x, C low)
{
    const C clamped = x < -40 ? -40 : x > 40 ? 40 : x;
    C r, rest;
    const C power = pyleaky_power(pyleaky_bits(pyleaky_reduce(clamped, low, &r, &rest)));
    const C left = power - 1, right = power * r, high = left + right;
    const C below = right - (high - left) + power * rest;
    return pyleaky_product(c, c_low, high, below, pyleaky_abs(x) < PYLEAKY_TINY ? x : high + below);
}

/* q = x / alpha, and what its rounding has cut off: exp would magnify it up to 700 times.  Scaled if small, so that it
 * is not lost to a subnormal. */
__device__ inline C pyleaky_quotient(C x, C alpha, C *q)
{
    const C scale = pyleaky_abs(x) < PYLEAKY_INVERSE_LARGE ? PYLEAKY_STEP : 1;
    const C dividend = x * scale, divisor = alpha * scale;
    *q = x / alpha;
    const C rest = pyleaky_fma(-*q, divisor, dividend) / divisor;
    return rest > -1 && rest < 1 ? rest : 0; /* no number where q or alpha is 0 or infinite */
}

__device__ inline C pyleaky_exp_div(C x, C alpha, C grad)
{
    C q;
    const C rest = pyleaky_quotient(x, alpha, &q);
    return pyleaky_exp(1, q, rest, grad);
}

__device__ inline C pyleaky_expm1_div(C alpha, C x)
{
    C q;
    const C rest = pyleaky_quotient(x, alpha, &q);
    if (pyleaky_abs(q) < PYLEAKY_TINY) /* it rounds to x, while q may have lost bits to a subnormal */
        return x;
    if (q > 40) /* only with a negative alpha; expm1 itself may overflow */
        return pyleaky_exp(alpha, q, rest, 1);
    return pyleaky_expm1(alpha, 0, q, rest);
}
"""

# SPAN elements per thread, in packs of 16 bytes where ALIGNED; the first may lie before the array, the last beyond it.
PACKS = """
#define PYLEAKY_LANES ((int)(16 / sizeof(T)))
#define PYLEAKY_SPAN ({span})
#define PYLEAKY_EACH _Pragma("unroll") for (int lane = 0; lane < PYLEAKY_SPAN; lane++)

typedef struct __align__(16) {{ unsigned int words[4]; }} pyleaky_pack;

__device__ inline void pyleaky_load(const T *from, ptrdiff_t start, ptrdiff_t count, T *to)
{{
#if {aligned}
    if (start + PYLEAKY_SPAN <= count) {{
        _Pragma("unroll") for (int lane = 0; lane < PYLEAKY_SPAN; lane += PYLEAKY_LANES) {{
            const pyleaky_pack pack = *(const pyleaky_pack *)(from + start + lane);
            memcpy((void *)(to + lane), &pack, sizeof pack);
        }}
        return;
    }}
#endif
    PYLEAKY_EACH {{
        if (start + lane >= 0 && start + lane < count)
            to[lane] = from[start + lane];
        else
            to[lane] = (T)0;
    }}
}}

__device__ inline void pyleaky_store(T *to, ptrdiff_t start, ptrdiff_t count, const T *from)
{{
#if {aligned}
    if (start + PYLEAKY_SPAN <= count) {{
        _Pragma("unroll") for (int lane = 0; lane < PYLEAKY_SPAN; lane += PYLEAKY_LANES) {{
            pyleaky_pack pack;
            memcpy(&pack, (const void *)(from + lane), sizeof pack);
            *(pyleaky_pack *)(to + start + lane) = pack;
        }}
        return;
    }}
#endif
    PYLEAKY_EACH {{
        if (start + lane >= 0 && start + lane < count)
            to[start + lane] = from[lane];
    }}
}}

/* One element per channel, for each lane, in an array of the layout [any, channels, inner]. */
__device__ inline void pyleaky_spread(const T *from, ptrdiff_t start, ptrdiff_t channels, ptrdiff_t inner, T *to)
{{
    ptrdiff_t channel, within;
    if ((start | channels | inner) >> 31 == 0) {{ /* a division of 64 bits takes a GPU several times as long */
        const unsigned int row = (unsigned int)start / (unsigned int)inner;
        within = (unsigned int)start - row * (unsigned int)inner;
        channel = row % (unsigned int)channels;
    }} else {{
        within = start % inner;
        channel = start / inner % channels;
    }}
#if {aligned}
    if (inner == 1 && channels % PYLEAKY_SPAN == 0 && (size_t)from % 16 == 0) {{
        pyleaky_load(from, channel, channels, to);
        return;
    }}
#endif
    T current = from[channel];
    PYLEAKY_EACH {{
        to[lane] = current;
        if (++within == inner) {{
            within = 0;
            channel = channel + 1 == channels ? 0 : channel + 1;
            current = from[channel];
        }}
    }}
}}
"""

PHILOX = """
typedef unsigned int pyleaky_word;
typedef unsigned long long pyleaky_long;

/* Philox4x32-10, Salmon et al. 2011 */
__device__ inline void pyleaky_philox(pyleaky_long seed, pyleaky_word stream, pyleaky_long block, pyleaky_word *words)
{
    pyleaky_word c0 = (pyleaky_word)block, c1 = (pyleaky_word)(block >> 32), c2 = stream, c3 = 0;
    pyleaky_word k0 = (pyleaky_word)seed, k1 = (pyleaky_word)(seed >> 32);
    _Pragma("unroll") for (int round = 0; round < 10; round++) {
        const pyleaky_long p0 = 0xd2511f53ull * c0, p1 = 0xcd9e8d57ull * c2;
        c0 = (pyleaky_word)(p1 >> 32) ^ c1 ^ k0;
        c1 = (pyleaky_word)p1;
        c2 = (pyleaky_word)(p0 >> 32) ^ c3 ^ k1;
        c3 = (pyleaky_word)p0;
        k0 += 0x9e3779b9u;
        k1 += 0xbb67ae85u;
    }
    words[0] = c0;
    words[1] = c1;
    words[2] = c2;
    words[3] = c3;
}
"""


@dataclass(frozen=True)
class Source:
    """What cupy.ElementwiseKernel takes."""

    name: str
    inputs: str
    outputs: str
    operation: str
    preamble: str


@dataclass(frozen=True)
class Body:
    """
    What happens to one element, in C.

    arrays : names of the operands of the result's shape; all are of one type T.
    value : the result, before it is rounded to T.  It may use these names, `side` (the element's bit of a mask that
        is read) and `word` (its random word).
    channel : the name of an operand with an element per channel.
    numbers, integers : names of operands that are one number for the whole call, of type C and of 64 bits.
    on_device : the same of type C, as arrays of one element.
    before : declarations in front of value.
    side : the condition of the bit in a mask that is written.
    reads_mask, stream : whether there is a mask to read; which stream of random words there is.
    """

    name: str
    arrays: tuple[str, ...]
    value: str
    channel: str | None = None
    numbers: tuple[str, ...] = ()
    integers: tuple[str, ...] = ()
    on_device: tuple[str, ...] = ()
    before: str = ""
    side: str | None = None
    reads_mask: bool = False
    stream: int | None = None

    @property
    def operands(self) -> tuple[str, ...]:
        return self.arrays if self.channel is None else (*self.arrays, self.channel)

    def declared(self, form: str) -> str:
        """The operands and numbers in C, each operand read by this form of its name."""
        forms = dict.fromkeys(self.operands, form) | dict.fromkeys(self.on_device, "given_{}[0]")
        forms |= dict.fromkeys(self.numbers, "given_{}")
        lines = (f"const C {name} = pyleaky_read({text.format(name)});" for name, text in forms.items())
        return " ".join(lines) + self.before


def compute_name(wide: bool) -> str:
    return "float64" if wide else "float32"


def preamble(wide: bool) -> str:
    words = DOUBLE if wide else FLOAT
    literals = {
        name: f"(C){text}{words['F']}"
        for name, text in words.items()
        if name not in (*INTEGERS, "F", "BITS", "POLYNOMIAL")
    }
    literals |= {
        f"INVERSE_{name}": f"(C){(1 / float.fromhex(words[name])).hex()}{words['F']}"
        for name in ("SAFE", "LARGE", "STEP")
    }
    lines = [f"typedef {words['BITS']} PYLEAKY_BITS;"]
    lines += [f"#define PYLEAKY_{name} ({words[name]})" for name in INTEGERS]
    lines += [f"#define PYLEAKY_{name} ({text})" for name, text in literals.items()]
    polynomial, *rest = (f"(C){term}{words['F']}" for term in reversed(words["POLYNOMIAL"].split()))
    for term in rest:
        polynomial = f"pyleaky_fma({polynomial}, r, {term})"
    lines.append(f"#define PYLEAKY_POLYNOMIAL(r) {polynomial}")
    for name, value in _core.CONSTANTS.items():
        high = value if wide else float(np.float32(value))
        ratio = np.float32(value - high) / np.float32(high)
        parts = (f"(C){float(part).hex()}{words['F']}" for part in (high, value - high, ratio))
        lines.append(f"#define {name} {', '.join(parts)}")
    return CONVERSIONS + (WIDE if wide else SINGLE) + "\n".join(lines) + VOCABULARY + PAIRS + EXPONENTIAL


# ---- the ways to walk


def elementwise(body: Body, wide: bool, number: str | None = None) -> Source:
    """Arrays of any layout that broadcast, one element per thread; the operand `number` is of type C."""
    kinds = {name: compute_name(wide) if name == number else "T" for name in body.operands}
    return Source(
        f"pyleaky_{body.name}",
        ", ".join(f"{kind} given_{name}" for name, kind in kinds.items()),
        "T result",
        f"{body.declared('given_{}')} result = (T)(pyleaky_plain)({body.value})",
        preamble(wide),
    )


def _raw_inputs(body: Body, wide: bool) -> list[str]:
    inputs = [f"raw T given_{name}" for name in body.operands]
    inputs += ["raw uint8 side_mask"] * body.reads_mask
    inputs += [f"raw {compute_name(wide)} given_{name}" for name in body.on_device]
    inputs += ["int64 count"]
    inputs += ["int64 channels", "int64 inner"] * (body.channel is not None)
    inputs += [f"{compute_name(wide)} given_{name}" for name in body.numbers]
    return inputs + [f"uint64 {name}" for name in body.integers]


def _load(body: Body) -> str:
    parts = [
        f"T lanes_{name}[PYLEAKY_SPAN]; pyleaky_load(&given_{name}[0], start, count, lanes_{name});"
        for name in body.arrays
    ]
    if body.reads_mask:
        parts.append("const unsigned int sides = start < count ? side_mask[start >> 3] >> (start & 7) : 0;")
    return "\n".join(parts)


def _spread(body: Body, start: str) -> str:
    if body.channel is None:
        return ""
    name = body.channel
    return f"T lanes_{name}[PYLEAKY_SPAN]; pyleaky_spread(&given_{name}[0], {start}, channels, inner, lanes_{name});"


def _lane(body: Body) -> str:
    side = "const int side = sides >> lane & 1;" if body.reads_mask else ""
    word = "const pyleaky_word word = words[lane];" if body.stream is not None else ""
    return side + word + body.declared("lanes_{}[lane]")


def vectors(body: Body, wide: bool, aligned: bool) -> Source:
    """Arrays in one order without gaps, from their first element to their last; in whole packs where aligned."""
    inputs = _raw_inputs(body, wide)
    words = bits = ""
    span = "PYLEAKY_LANES"
    origin = "(ptrdiff_t)i * PYLEAKY_SPAN"
    if body.stream is not None:
        # A block of random numbers serves four elements; `first` is the number of the one with the array's first
        # element, which has `skip` words before it.
        span = "PYLEAKY_LANES < 4 ? 4 : PYLEAKY_LANES"
        origin += " - skip"
        inputs += ["uint64 seed", "uint64 first", "int64 skip"]
        words = f"""
        pyleaky_word words[PYLEAKY_SPAN];
        const pyleaky_long blocks = PYLEAKY_SPAN / 4, from = first + i * blocks;
        _Pragma("unroll") for (int block = 0; block < PYLEAKY_SPAN / 4; block++)
            pyleaky_philox(seed, {body.stream}, from + block, words + 4 * block);
        """
    if body.side is not None:
        span = "8"
        bits = f"bits |= (unsigned int)(start + lane < count && ({body.side})) << lane;"
    return Source(
        f"pyleaky_{body.name}_vectors",
        ", ".join(inputs),
        "raw T result" + ", raw uint8 mask" * (body.side is not None),
        f"""
        const ptrdiff_t start = {origin};
        {_load(body)}
        {_spread(body, "start")}
        {words}
        T lanes_result[PYLEAKY_SPAN];
        {"unsigned int bits = 0;" if bits else ""}
        PYLEAKY_EACH {{
            {_lane(body)}
            lanes_result[lane] = (T)(pyleaky_plain)({body.value});
            {bits}
        }}
        pyleaky_store(&result[0], start, count, lanes_result);
        {"mask[i] = (unsigned char)bits;" if bits else ""}""",
        preamble(wide) + PHILOX * (body.stream is not None) + PACKS.format(span=span, aligned=int(aligned)),
    )


def scattered(body: Body, wide: bool, dims: int) -> Source:
    """One element per thread of arrays in C order, whose random words are those of a part of a larger array."""
    axes = "".join(
        f"at += (pyleaky_long)(rest % length_{axis}) * stride_{axis}; rest /= length_{axis};"
        for axis in reversed(range(dims))
    )
    inputs = [*_raw_inputs(body, wide), "uint64 seed", "uint64 start"]
    inputs += [f"{kind}_{axis}" for axis in range(dims) for kind in ("int64 length", "uint64 stride")]
    return Source(
        f"pyleaky_{body.name}_scattered",
        ", ".join(inputs),
        "raw T result",
        f"""
        pyleaky_long at = start;
        ptrdiff_t rest = i;
        {axes}
        pyleaky_word words[4];
        pyleaky_philox(seed, {body.stream}, at / 4, words);
        const pyleaky_word word = at % 4 == 0 ? words[0] : at % 4 == 1 ? words[1] : at % 4 == 2 ? words[2] : words[3];
        {body.declared("given_{}[i]")}
        result[i] = (T)(pyleaky_plain)({body.value})""",
        preamble(wide) + PHILOX,
    )


# The strip of a thread: from `pitch` elements per group and SPAN per thread of a group on, a step at a time.
_STRIP = """
        const ptrdiff_t group = i / width, first = group * pitch + (i - group * width) * PYLEAKY_SPAN;
        const ptrdiff_t end = group * pitch + reach < count ? group * pitch + reach : count;
"""
_WALK = ["int64 width", "int64 pitch", "int64 step", "int64 reach"]


def strips(body: Body, wide: bool, aligned: bool, term: str, stores: bool = True, vocabulary: str = "") -> Source:
    """
    As vectors, a strip per thread, and the sums of `term`, a pair, over each: per lane, or one where these `fold`.

    `vocabulary` replaces words for the term.
    """
    inputs = [*_raw_inputs(body, wide), *_WALK, "bool folds"]
    return Source(
        f"pyleaky_{body.name}_strips",
        ", ".join(inputs),
        "raw T result, " * stores + f"raw {compute_name(wide)} sums",
        f"""
        {_STRIP}
        {_spread(body, "first")}
        pyleaky_pair lane_sums[PYLEAKY_SPAN];
        PYLEAKY_EACH lane_sums[lane] = PYLEAKY_NOTHING;
        for (ptrdiff_t start = first; start < end; start += step) {{
            {_load(body)}
            {"T lanes_result[PYLEAKY_SPAN];" if stores else ""}
            PYLEAKY_EACH {{
                {_lane(body)}
                {f"const C value = {body.value}; lanes_result[lane] = (T)(pyleaky_plain)value;" if stores else ""}
{vocabulary}
                if (start + lane < count)
                    lane_sums[lane] = pyleaky_plus(lane_sums[lane], {term});
            }}
            {"pyleaky_store(&result[0], start, count, lanes_result);" if stores else ""}
        }}
        if (folds) {{
            _Pragma("unroll") for (int lane = 1; lane < PYLEAKY_SPAN; lane++)
                lane_sums[0] = pyleaky_plus(lane_sums[0], lane_sums[lane]);
            sums[2 * i] = (pyleaky_plain)lane_sums[0].high;
            sums[2 * i + 1] = (pyleaky_plain)lane_sums[0].low;
        }} else {{
            PYLEAKY_EACH {{
                sums[2 * (i * PYLEAKY_SPAN + lane)] = (pyleaky_plain)lane_sums[lane].high;
                sums[2 * (i * PYLEAKY_SPAN + lane) + 1] = (pyleaky_plain)lane_sums[lane].low;
            }}
        }}""",
        preamble(wide) + PACKS.format(span="PYLEAKY_LANES" if aligned else "1", aligned=int(aligned)),
    )


# A product that is not rounded, for the text of a row with one.
EXACT_PRODUCT = """
#undef v_set
#undef v_gt
#undef v_mul
#define v_set(c) pyleaky_pair_of((C)(c), 0)
#define v_gt(a, b) ((a) > (b).high)
#define v_mul(a, b) pyleaky_two_product(a, b)
"""


def fewer_sums(wide: bool) -> Source:
    """The sums of pairs along the strips of each thread."""
    kind = compute_name(wide)
    return Source(
        "pyleaky_fewer_sums",
        f"raw {kind} given, int64 count, {', '.join(_WALK)}",
        f"raw {kind} sums",
        f"""
        {_STRIP}
        pyleaky_pair sum = PYLEAKY_NOTHING;
        for (ptrdiff_t start = first; start < end; start += step)
            sum = pyleaky_plus(sum, pyleaky_pair_of((C)given[2 * start], (C)given[2 * start + 1]));
        sums[2 * i] = (pyleaky_plain)sum.high;
        sums[2 * i + 1] = (pyleaky_plain)sum.low""",
        preamble(wide) + "#define PYLEAKY_SPAN 1\n",
    )


def last_sums(wide: bool) -> Source:
    """The sums of pairs in the layout [outer, channels, inner] over outer and inner, in float64."""
    return Source(
        "pyleaky_last_sums",
        f"raw {compute_name(wide)} given, int64 outer, int64 channels, int64 inner",
        "raw float64 total",
        """
        pyleaky_pair sum = PYLEAKY_NOTHING;
        for (ptrdiff_t row = 0; row < outer; row++) {
            const ptrdiff_t start = (row * channels + i) * inner;
            for (ptrdiff_t k = start; k < start + inner; k++)
                sum = pyleaky_plus(sum, pyleaky_pair_of((C)given[2 * k], (C)given[2 * k + 1]));
        }
        const double high = pyleaky_double((pyleaky_plain)sum.high), low = pyleaky_double((pyleaky_plain)sum.low);
        const bool has_rest = sum.low != 0 && sum.low - sum.low == 0;
        total[i] = has_rest ? high + low : high""",
        preamble(wide),
    )


# ---- the bodies


def row_body(name: str, given: dict[str, str] | None = None, **more: Any) -> Body:
    """
    A row of the table; `given` says by name which of its inputs are not arrays, "number" or "channel".
    """
    row = _core.ROWS[name]
    kinds = given or {}
    return Body(
        name,
        tuple(argument for argument in row.inputs if argument not in kinds),
        row.formula,
        next((argument for argument, kind in kinds.items() if kind == "channel"), None),
        tuple(argument for argument, kind in kinds.items() if kind == "number"),
        **more,
    )


def masking_body(name: str) -> Body:
    """A forward row that also writes the mask."""
    body = row_body(name, _number_of(name))
    return replace(body, name=f"{name}_with_mask", side="v_gt(x, 0)")


def masked_body(name: str) -> Body:
    """A backward row with the bits of a mask for the sides of x."""
    body = row_body(name, {"x": "side"} | _number_of(name), before=" const C x = (C)side;", reads_mask=True)
    return replace(body, name=f"{name}_from_mask")


def _number_of(name: str) -> dict[str, str]:
    row = _core.ROWS[name]
    return {row.inputs[-1]: "number"} if row.parameters else {}


def random_body(name: str) -> Body:
    if name == "dropout":
        value = "word < threshold ? (C)0 : x * scale"
        return Body(name, ("x",), value, numbers=("scale",), integers=("threshold",), stream=0)
    row = _core.ROWS["leaky_relu" + name.removeprefix("rrelu")]
    slope = " const C slope = lower + (upper - lower) * ((C)(word >> 8) * PYLEAKY_LITERAL(0x1p-24));"
    return Body(name, row.inputs[:-1], row.formula, numbers=("lower", "upper"), before=slope, stream=1)


BIAS_ROWS = {"linear": "leaky_relu"}  # whose slope is 1


def bias_row(activation: str, suffix: str = "") -> Any:
    return _core.ROWS[BIAS_ROWS.get(activation, activation) + suffix]


def bias_numbers(row: Any) -> tuple[str, ...]:
    return (row.inputs[-1] if row.parameters else "unused", "gain", "clamp")


def bias_act_body(activation: str, biased: bool, masks: bool) -> Body:
    row = bias_row(activation)
    return Body(
        f"bias_{activation}",
        ("given",),
        "scaled > clamp ? clamp : scaled < -clamp ? -clamp : scaled",
        "bias" if biased else None,
        bias_numbers(row),
        before=f" const C x = given{' + bias' if biased else ''}; const C scaled = ({row.formula}) * gain;",
        side="v_gt(x, 0)" if masks else None,
    )


def bias_gradient_body(activation: str, source: str, biased: bool, masked: bool, clamps: bool) -> Body:
    """
    dx of bias_act_backward; source is "x", "output" or "" (of a mask alone).

    source "gg" is that of x with the rows of the second derivative.
    """
    forward = bias_row(activation)
    if source == "gg":
        row, of_activation = bias_row(activation, "_double_backward"), ""
    elif f"{activation}_backward_from_output" in _core.ROWS and source != "x":
        row, of_activation = bias_row(activation, "_backward_from_output"), "y / gain"
    else:
        row, of_activation = bias_row(activation, "_backward"), "y"
    arrays = {"gg": ("gg", "incoming", "given"), "": ("incoming",)}.get(source, ("incoming", "given"))
    from_x = source in ("x", "gg")
    if from_x:
        found = f" const C x = given{' + bias' if biased else ''}; const C y = ({forward.formula}) * gain;"
    else:
        seen = f"side ? (C)1 : {of_activation} > 0 ? (C)0 : {of_activation}" if masked else of_activation
        found = f" const C y = {'given' if source else '0'}; const C {row.inputs[1]} = {seen};"
    return Body(
        f"bias_{activation}_gradient",
        arrays,
        f"{'y > clamp || y < -clamp ? (C)0 : ' if clamps else ''}{row.formula}",
        "bias" if biased and from_x else None,
        bias_numbers(row),
        before=f" const C grad = incoming * gain;{found}",
        reads_mask=masked,
    )


def norm_body() -> Body:
    size = " const C size = pyleaky_abs(x * scale);"
    return Body("norm", ("x",), "", numbers=("p",), on_device=("scale",), before=size)


def cast_source(wide: bool) -> Source:
    """From one floating-point type to another, which is float64 or is not."""
    return Source(
        "pyleaky_cast",
        "T given",
        "U result",
        f"result = (U){'pyleaky_double' if wide else 'pyleaky_float'}(given)",
        CONVERSIONS,
    )


def clip_source(wide: bool) -> Source:
    """The row `scaled` in place, which a factor of 1 leaves alone."""
    return Source(
        "pyleaky_clip_by_norm",
        f"raw {compute_name(wide)} given_factor",
        "T grad",
        f"""
        const C factor = pyleaky_read(given_factor[0]);
        if (factor != 1) {{
            const C x = pyleaky_read(grad);
            grad = (T)(pyleaky_plain)({_core.ROWS["scaled"].formula});
        }}""",
        preamble(wide),
    )
