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
 *     v_gt(a, b)  v_lt(a, b)   quiet comparisons, false for NaN
 *     v_select(m, a, b)        a where m, else b
 *     v_mul(a, b)  v_add(a, b)  v_div(a, b)   each rounded once
 *     v_eq(a, b)               quiet, false for NaN
 *   float32 lanes only:
 *     v_widen_low(a)  v_widen_high(a)  v_narrow(low, high)   to and from two vectors of float64 lanes of the same ISA
 *   float64 lanes only:
 *     v_sub(a, b)  v_fma(a, b, c)
 *     v_max(a, b)  v_min(a, b)     b where either is NaN
 *     v_lookup16(table, kf)        table[low four bits of kf]
 *     v_scale_bits(t, kf)          t with (kf's bits << 48) added to its own: times 2^(k/16) for a table of 2^(-j/16) */
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

LEAKY_WORD m_t v_gt(v_t a, v_t b) { return isgreater(a, b); }
LEAKY_WORD m_t v_lt(v_t a, v_t b) { return isless(a, b); }
LEAKY_WORD v_t v_select(m_t m, v_t a, v_t b) { return m ? a : b; }
LEAKY_WORD v_t v_mul(v_t a, v_t b) { return a * b; }
LEAKY_WORD v_t v_add(v_t a, v_t b) { return a + b; }
LEAKY_WORD v_t v_div(v_t a, v_t b) { return a / b; }
LEAKY_WORD m_t v_eq(v_t a, v_t b) { return a == b; }
#if LEAKY_BITS == 32
LEAKY_WORD double v_widen_low(v_t a) { return a; }
LEAKY_WORD double v_widen_high(v_t a) { return a; }
LEAKY_WORD v_t v_narrow(double low, double high)
{
    (void)high;
    return (float)low;
}
#else
LEAKY_WORD v_t v_sub(v_t a, v_t b) { return a - b; }
LEAKY_WORD v_t v_fma(v_t a, v_t b, v_t c) { return fma(a, b, c); }
LEAKY_WORD v_t v_max(v_t a, v_t b) { return isgreater(a, b) ? a : b; }
LEAKY_WORD v_t v_min(v_t a, v_t b) { return isless(a, b) ? a : b; }

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
#endif
