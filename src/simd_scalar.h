/* The vocabulary, one lane: portable C, and the list of the words that every other simd_*.h defines too.  kernels.c
 * includes each such file once per dtype, with LEAKY_BITS naming it; V(word) adds the lanes' name, so that
 * v_mul becomes v_mul_f32x1.  A new word goes into all of them, into the #define list of kernels.c and into
 * tests/c/test_vocabulary.c.
 *
 *     scalar_t v_t m_t   one element, a vector, a mask of one flag per lane
 *     v_set(c)           c in every lane
 *     v_load(p)          LEAKY_LANE_COUNT elements from p, which need not be aligned
 *     v_load_some(p, k)  the first k < LEAKY_LANE_COUNT of them, 0 in the idle lanes; reads nothing beyond
 *     v_store(p, a)  v_store_some(p, k, a)
 *     v_stream(p, a)     v_store around the caches to an aligned p; the driver fences
 *     v_gt(a, b)  v_lt(a, b)   quiet comparisons, false for NaN
 *     v_select(m, a, b)        a where m, else b
 *     v_mul(a, b)  v_add(a, b)  v_sub(a, b)  v_div(a, b)
 *     v_fma(a, b, c)           a * b + c, each of these rounded once
 *     v_max(a, b)  v_min(a, b)       b where either is NaN
 *     v_eq(a, b)               quiet, false for NaN
 *     v_bits(m)  v_from_bits(b)      a mask to and from the low bits of an uint64_t, the first lane's the lowest
 *     v_below(w, t)            whether a word of 32 bits is below t, for as many words from w as there are lanes
 *     v_uniform(w)             (word >> 8) / 2^24 of each
 *   float32 lanes only:
 *     h_t                      a vector of as many halves, each an uint16_t
 *     h_load(p)  h_load_some(p, k)  h_store(p, a)  h_store_some(p, k, a)  h_stream(p, a)
 *     v_widen_f16(h)  v_widen_bf16(h)  v_narrow_f16(a)  v_narrow_bf16(a)   narrowing rounds once; v_narrow_bf16 counts on
 *                              the low half of a NaN being 0, as arithmetic leaves it if no operand's NaN has more
 *     v_widen_low(a)  v_widen_high(a)  v_narrow(low, high)   to and from two vectors of float64 lanes of the same ISA
 *     v_mask_low(m)  v_mask_high(m)   the same for a mask
 *     v_exp2_16(&low, &high)         in such vectors: 2^(k/16), k being the integer in the low bits of what stood there
 *   float64 lanes only:
 *     v_fms(a, b, c)               a * b - c, rounded once
 *     v_lookup16(table, kf)        table[low four bits of kf]
 *     v_scale_bits(t, kf)          t with (kf's bits << 48) added to its own: times 2^(k/16) for a table of 2^(-j/16)
 *     u_t  u_set(c)                as many uint64_t
 *     u_mul(a, b)                  the product of their low halves
 *     u_high(a)                    the high halves
 *     u_xor(a, b, c)
 *     u_blocks(b)                  b and the numbers after it, in the order in which
 *     u_store_words(p, c0, c1, c2, c3)   stores the low halves number by number: c0, c1, c2 and c3 of the first, ... */
#undef LEAKY_LANES
#undef LEAKY_LANE_COUNT
#undef scalar_t
#define LEAKY_LANE_COUNT 1
#if LEAKY_BITS == 32
#define LEAKY_LANES f32x1
#define scalar_t float
#else
#define LEAKY_LANES f64x1
#define scalar_t double
#endif

typedef scalar_t v_t;
typedef int m_t;

LEAKY_WORD v_t v_set(scalar_t c) { return c; }

LEAKY_WORD v_t v_load(const char *p)
{
    v_t a;
    memcpy(&a, p, sizeof a);
    return a;
}

LEAKY_WORD v_t v_load_some(const char *p, ptrdiff_t k) { (void)p, (void)k; return 0; }
LEAKY_WORD void v_store(char *p, v_t a) { memcpy(p, &a, sizeof a); }
LEAKY_WORD void v_store_some(char *p, ptrdiff_t k, v_t a) { (void)p, (void)k, (void)a; }
LEAKY_WORD void v_stream(char *p, v_t a) { v_store(p, a); }

LEAKY_WORD m_t v_gt(v_t a, v_t b) { return isgreater(a, b); }
LEAKY_WORD m_t v_lt(v_t a, v_t b) { return isless(a, b); }
LEAKY_WORD v_t v_select(m_t m, v_t a, v_t b) { return m ? a : b; }
LEAKY_WORD v_t v_mul(v_t a, v_t b) { return a * b; }
LEAKY_WORD v_t v_add(v_t a, v_t b) { return a + b; }
LEAKY_WORD v_t v_sub(v_t a, v_t b) { return a - b; }
LEAKY_WORD v_t v_div(v_t a, v_t b) { return a / b; }
LEAKY_WORD v_t v_max(v_t a, v_t b) { return isgreater(a, b) ? a : b; }
LEAKY_WORD v_t v_min(v_t a, v_t b) { return isless(a, b) ? a : b; }
LEAKY_WORD m_t v_eq(v_t a, v_t b) { return a == b; }

LEAKY_WORD uint64_t v_bits(m_t m) { return m != 0; }
LEAKY_WORD m_t v_from_bits(uint64_t bits) { return (int)(bits & 1); }
LEAKY_WORD m_t v_below(const uint32_t *words, uint32_t t) { return *words < t; }
LEAKY_WORD v_t v_uniform(const uint32_t *words) { return (scalar_t)(*words >> 8) * (scalar_t)0x1p-24; }

#if LEAKY_BITS == 32
LEAKY_WORD v_t v_fma(v_t a, v_t b, v_t c) { return fmaf(a, b, c); }
typedef uint16_t h_t;

LEAKY_WORD h_t h_load(const char *p)
{
    h_t a;
    memcpy(&a, p, sizeof a);
    return a;
}

LEAKY_WORD h_t h_load_some(const char *p, ptrdiff_t k) { (void)p, (void)k; return 0; }
LEAKY_WORD void h_store(char *p, h_t a) { memcpy(p, &a, sizeof a); }
LEAKY_WORD void h_store_some(char *p, ptrdiff_t k, h_t a) { (void)p, (void)k, (void)a; }
LEAKY_WORD void h_stream(char *p, h_t a) { h_store(p, a); }

/* The product moves the exponent, that of a subnormal too; infinities and NaN get theirs by hand. */
LEAKY_WORD v_t v_widen_f16(h_t a)
{
    const uint32_t magnitude = (a & 0x7fffu) << 13, special = a & 0x7c00u;
    uint32_t bits;
    float value;
    memcpy(&value, &magnitude, 4);
    value *= 0x1p112f;
    memcpy(&bits, &value, 4);
    bits |= (special == 0x7c00 ? 0x7f800000u : 0) | (magnitude > 0x7c00u << 13 ? 0x00400000u : 0) | (a & 0x8000u) << 16;
    memcpy(&value, &bits, 4);
    return value;
}

/* Below 2^-14 the sum with 0.5, whose last place is float16's, rounds; above, an integer addition does. */
LEAKY_WORD h_t v_narrow_f16(v_t a)
{
    uint32_t bits, sum;
    memcpy(&bits, &a, 4);
    const uint32_t sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000)
        return (h_t)(sign | 0x7e00 | (magnitude >> 13 & 0x3ff));
    if (magnitude >= 0x477ff000) /* 65520 */
        return (h_t)(sign | 0x7c00);
    if (magnitude < 0x38800000) {
        const float rounded = fabsf(a) + 0.5f;
        memcpy(&sum, &rounded, 4);
        return (h_t)(sign | (sum - 0x3f000000));
    }
    return (h_t)(sign | (magnitude - (112u << 23) + 0xfff + (magnitude >> 13 & 1)) >> 13);
}

LEAKY_WORD v_t v_widen_bf16(h_t a)
{
    const uint32_t bits = (uint32_t)a << 16;
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

LEAKY_WORD h_t v_narrow_bf16(v_t a)
{
    uint32_t bits;
    memcpy(&bits, &a, 4);
    return (h_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

LEAKY_WORD double v_widen_low(v_t a) { return a; }
LEAKY_WORD double v_widen_high(v_t a) { return a; }
LEAKY_WORD v_t v_narrow(double low, double high)
{
    (void)high;
    return (float)low;
}

LEAKY_WORD m_t v_mask_low(m_t m) { return m; }
LEAKY_WORD m_t v_mask_high(m_t m) { return m; }

LEAKY_WORD void v_exp2_16(double *low, double *high)
{
    (void)high;
    *low = W(v_scale_bits)(W(v_lookup16)(leaky_exp2_16, *low), *low);
}
#else
#if defined(__MINGW32__)
/* fma of mingw-w64 (10.0: mingw-w64-crt/math/fma.c) rounds twice.  Here the product is exact, and the sum is rounded to odd, which a
 * second rounding to so much fewer bits does not notice (Boldo and Melquiond 2008). */
LEAKY_WORD v_t v_fma(v_t a, v_t b, v_t c)
{
    const __float128 product = (__float128)a * b;
    __float128 sum = product + c;
    const __float128 added = sum - product, rest = (product - (sum - added)) + (c - added);
    unsigned __int128 bits;
    memcpy(&bits, &sum, sizeof bits);
    if (sum - sum == 0 && rest != 0 && !(bits & 1)) {
        bits += (rest > 0) == (sum > 0) ? 1 : -(unsigned __int128)1;
        memcpy(&sum, &bits, sizeof bits);
    }
    return (v_t)sum;
}
#else
LEAKY_WORD v_t v_fma(v_t a, v_t b, v_t c) { return fma(a, b, c); }
#endif
LEAKY_WORD v_t v_fms(v_t a, v_t b, v_t c) { return v_fma(a, b, -c); }

LEAKY_WORD v_t v_lookup16(const double *table, v_t kf)
{
    uint64_t bits;
    memcpy(&bits, &kf, 8);
    return table[bits & 15];
}

LEAKY_WORD v_t v_scale_bits(v_t t, v_t kf)
{
    uint64_t bits, k;
    memcpy(&bits, &t, 8);
    memcpy(&k, &kf, 8);
    bits += k << 48;
    memcpy(&t, &bits, 8);
    return t;
}

typedef uint64_t u_t;

LEAKY_WORD u_t u_set(uint64_t c) { return c; }
LEAKY_WORD u_t u_mul(u_t a, u_t b) { return (a & 0xffffffff) * (b & 0xffffffff); }
LEAKY_WORD u_t u_high(u_t a) { return a >> 32; }
LEAKY_WORD u_t u_xor(u_t a, u_t b, u_t c) { return a ^ b ^ c; }
LEAKY_WORD u_t u_blocks(uint64_t first) { return first; }

LEAKY_WORD void u_store_words(uint32_t *words, u_t c0, u_t c1, u_t c2, u_t c3)
{
    words[0] = (uint32_t)c0;
    words[1] = (uint32_t)c1;
    words[2] = (uint32_t)c2;
    words[3] = (uint32_t)c3;
}
#endif
