/* Each word of the vocabulary on its own, for every ISA that this machine supports, against plain C.  The file includes
 * itself once per lane type: what stands under LEAKY_LANES is the test, the rest is the list of lane types. */
#ifndef LEAKY_VOCABULARY_LIST
#define LEAKY_VOCABULARY_LIST
#include "../../src/kernels.c"

#include <stdio.h>
#include <stdlib.h>

#define LEAKY_STORED LEAKY_LANES

#undef LEAKY_LANES
#undef LEAKY_LANE_COUNT
#undef scalar_t

/* What a half stands for and which half a float rounds to, by the definition of the format: searched, not converted. */
struct format {
    int precision, least; /* bits of the significand; exponent of the least subnormal */
    uint16_t infinity;
};
static const struct format f16 = {11, -24, 0x7c00}, bf16 = {8, -133, 0x7f80};

static double value_of(uint16_t half, const struct format *format)
{
    const uint16_t magnitude = half & 0x7fff, one = (uint16_t)(1 << (format->precision - 1));
    const int exponent = magnitude / one;
    const double significand = magnitude % one + (exponent ? one : 0);
    const double value = magnitude > format->infinity    ? (double)NAN
                         : magnitude == format->infinity ? (double)INFINITY
                                                         : ldexp(significand, format->least + (exponent ? exponent - 1 : 0));
    return half & 0x8000 ? -value : value;
}

static uint16_t nearest(float x, const struct format *format)
{
    const uint16_t sign = signbit(x) ? 0x8000 : 0;
    uint16_t low = 0, high = format->infinity; /* value(low) <= |x| */
    if (isinf(x))
        return sign | high;
    while (high - low > 1) {
        const uint16_t middle = (uint16_t)((low + high) / 2);
        if (value_of(middle, format) <= fabs((double)x))
            low = middle;
        else
            high = middle;
    }
    /* Infinity begins half a step above the largest number. */
    const double below = value_of(low, format), step = below - value_of((uint16_t)(low - 1), format);
    const double above = high == format->infinity ? below + step : value_of(high, format);
    const double to_low = fabs((double)x) - below, to_high = above - fabs((double)x);
    return sign | (to_low < to_high || (to_low == to_high && low % 2 == 0) ? low : high);
}

static int same(const void *a, const void *b, size_t size) { return !memcmp(a, b, size); }

static void expect(int ok, const char *lanes, const char *word)
{
    if (!ok) {
        fprintf(stderr, "%s: %s is wrong\n", lanes, word);
        exit(1);
    }
}

#define scalar_t float
#define LEAKY_LANES f32x1
#define LEAKY_WIDE f64x1
#define LEAKY_LANE_COUNT 1
#include "test_vocabulary.c"
#if LEAKY_X86
LEAKY_TARGET("avx2,fma,f16c")
#define LEAKY_LANES f32x8
#define LEAKY_WIDE f64x4
#define LEAKY_LANE_COUNT 8
#include "test_vocabulary.c"
LEAKY_TARGET_END
LEAKY_TARGET("avx512f,avx512bw,avx512dq,avx512vl")
#define LEAKY_LANES f32x16
#define LEAKY_WIDE f64x8
#define LEAKY_LANE_COUNT 16
#include "test_vocabulary.c"
LEAKY_TARGET_END
#endif
#if LEAKY_ARM
#define LEAKY_LANES f32x4
#define LEAKY_WIDE f64x2
#define LEAKY_LANE_COUNT 4
#include "test_vocabulary.c"
#endif
#undef scalar_t

#define scalar_t double
#define LEAKY_LANES f64x1
#define LEAKY_LANE_COUNT 1
#include "test_vocabulary.c"
#if LEAKY_X86
LEAKY_TARGET("avx2,fma,f16c")
#define LEAKY_LANES f64x4
#define LEAKY_LANE_COUNT 4
#include "test_vocabulary.c"
LEAKY_TARGET_END
LEAKY_TARGET("avx512f,avx512bw,avx512dq,avx512vl")
#define LEAKY_LANES f64x8
#define LEAKY_LANE_COUNT 8
#include "test_vocabulary.c"
LEAKY_TARGET_END
#endif
#if LEAKY_ARM
#define LEAKY_LANES f64x2
#define LEAKY_LANE_COUNT 2
#include "test_vocabulary.c"
#endif

int main(void)
{
    words_f32x1();
    halves_f32x1();
    words_f64x1();
#if LEAKY_X86
    if (leaky_isa_supported(LEAKY_AVX2))
        words_f32x8(), words_f64x4(), halves_f32x8();
    if (leaky_isa_supported(LEAKY_AVX512))
        words_f32x16(), words_f64x8(), halves_f32x16();
#endif
#if LEAKY_ARM
    words_f32x4(), words_f64x2(), halves_f32x4();
#endif
    return 0;
}

#else

/* The word in every lane against plain C on `left` and `right`; any NaN equals any other. */
#ifndef EACH
#define EACH(word, formula, text)                                                                \
    do {                                                                                         \
        v_store((char *)y, word);                                                                \
        for (int i = 0; i < lanes; i++) {                                                        \
            const volatile scalar_t left = a[i], right = b[i];                                   \
            want[i] = formula;                                                                   \
            expect(isnan(want[i]) ? isnan(y[i]) : same(y + i, want + i, sizeof *y), name, text); \
        }                                                                                        \
    } while (0)
#endif

#ifdef LEAKY_WIDE
#define FMA fmaf
/* Every half, and around every half and every middle between two the floats next to it; NaN stays NaN with its sign. */
static void V(halves)(void)
{
    enum { lanes = LEAKY_LANE_COUNT };
    uint16_t h[lanes], guarded[3 * lanes];
    float x[lanes];
    for (int is_bf16 = 0; is_bf16 < 2; is_bf16++) {
        const struct format *const format = is_bf16 ? &bf16 : &f16;
        const char *const name = is_bf16 ? "bfloat16" : "float16";
        for (uint32_t start = 0; start < 65536; start += lanes) {
            for (int i = 0; i < lanes; i++)
                h[i] = (uint16_t)(start + (uint32_t)i);
            const h_t vh = h_load((const char *)h);
            const v_t wide = is_bf16 ? v_widen_bf16(vh) : v_widen_f16(vh);
            v_store((char *)x, wide);
            for (int i = 0; i < lanes; i++) {
                const float want = (float)value_of(h[i], format);
                expect(isnan(want) ? isnan(x[i]) && !signbit(x[i]) == !(h[i] >> 15) : same(x + i, &want, 4), name, "widening");
            }
            for (int middle = 0; middle < 2; middle++)
                for (int step = -1; step <= 1; step++) {
                    for (int i = 0; i < lanes; i++) {
                        const double here = value_of(h[i], format), next = value_of((uint16_t)(h[i] + 1), format);
                        x[i] = (float)(middle && !isinf(next) ? (here + next) / 2 : here);
                        x[i] = step ? nextafterf(x[i], step * INFINITY) : x[i];
                    }
                    const v_t narrow = v_load((const char *)x);
                    h_store((char *)h, is_bf16 ? v_narrow_bf16(narrow) : v_narrow_f16(narrow));
                    for (int i = 0; i < lanes; i++)
                        expect(isnan(x[i]) ? (h[i] & 0x7fff) > format->infinity : h[i] == nearest(x[i], format), name,
                               "narrowing");
                    for (int i = 0; i < lanes; i++)
                        h[i] = (uint16_t)(start + (uint32_t)i);
                }
        }
    }
    for (int k = 1; k < lanes; k++) {
        for (int i = 0; i < lanes; i++)
            h[i] = (uint16_t)(i + 1);
        memset(guarded, 0x55, sizeof guarded);
        h_store_some((char *)(guarded + lanes), k, h_load((const char *)h));
        for (int i = 0; i < 3 * lanes; i++)
            expect(guarded[i] == (i >= lanes && i < lanes + k ? i - lanes + 1 : 0x5555), "halves", "h_store_some");
        memset(guarded, 0x55, sizeof guarded);
        h_store((char *)guarded, h_load_some((const char *)h, k));
        for (int i = 0; i < lanes; i++)
            expect(guarded[i] == (i < k ? i + 1 : 0), "halves", "h_load_some");
    }
}
#else
#define FMA fma
#endif

static void V(words)(void)
{
    enum { lanes = LEAKY_LANE_COUNT };
    static const scalar_t special[] = {0, -0.0f, 1, -1, INFINITY, -INFINITY, NAN, 1.5f, -2.5f, 0x1p-120f, -0x1p-120f, 3e38f};
    const int specials = sizeof special / sizeof *special;
    const char *const name = lanes == 1 ? "one lane" : lanes == 2 ? "f64x2" : sizeof(scalar_t) == 4 ? "f32" : "f64";
    scalar_t a[2 * lanes], b[2 * lanes], y[3 * lanes], want[lanes];

    for (int shift = 0; shift < specials; shift++)
        for (int other = 0; other < specials; other++) {
            for (int i = 0; i < 2 * lanes; i++) {
                a[i] = special[(i + shift) % specials];
                b[i] = special[(3 * i + other) % specials];
            }
            const v_t va = v_load((const char *)a), vb = v_load((const char *)b);

            v_store((char *)y, va);
            expect(same(y, a, sizeof want), name, "v_load or v_store");
            v_store((char *)y, v_set(a[0]));
            for (int i = 0; i < lanes; i++)
                expect(same(y + i, a, sizeof *a), name, "v_set");
            v_store((char *)y, v_select(v_gt(va, vb), va, vb));
            for (int i = 0; i < lanes; i++)
                want[i] = isgreater(a[i], b[i]) ? a[i] : b[i];
            expect(same(y, want, sizeof want), name, "v_gt or v_select");
            v_store((char *)y, v_select(v_lt(va, vb), va, vb));
            for (int i = 0; i < lanes; i++)
                want[i] = isless(a[i], b[i]) ? a[i] : b[i];
            expect(same(y, want, sizeof want), name, "v_lt");
            v_store((char *)y, v_select(v_eq(va, vb), va, vb));
            for (int i = 0; i < lanes; i++)
                want[i] = a[i] == b[i] ? a[i] : b[i];
            expect(same(y, want, sizeof want), name, "v_eq");
            EACH(v_mul(va, vb), left * right, "v_mul");
            EACH(v_add(va, vb), left + right, "v_add");
            EACH(v_div(va, vb), left / right, "v_div");
            EACH(v_sub(va, vb), left - right, "v_sub");
            EACH(v_fma(va, vb, va), FMA(left, right, left), "v_fma");
            EACH(v_max(va, vb), isgreater(left, right) ? left : right, "v_max");
            EACH(v_min(va, vb), isless(left, right) ? left : right, "v_min");
#ifdef LEAKY_WIDE
            EACH(v_narrow(W(v_select)(v_mask_low(v_gt(va, vb)), v_widen_low(va), v_widen_low(vb)),
                          W(v_select)(v_mask_high(v_gt(va, vb)), v_widen_high(va), v_widen_high(vb))),
                 isgreater(left, right) ? left : right, "v_mask_low or v_mask_high");
            W(v_t) low, high;
            double powers[2 * lanes];
            for (int i = 0; i < 2 * lanes; i++)
                powers[i] = 0x1.8p52 + 7 * shift - 50 * other + 3 * i;
            low = W(v_load)((const char *)powers);
            high = W(v_load)((const char *)(powers + (lanes + 1) / 2));
            v_exp2_16(&low, &high);
            W(v_store)((char *)powers, low);
            W(v_store)((char *)(powers + (lanes + 1) / 2), high);
            for (int i = 0; i < lanes; i++)
                expect(fabs(powers[i] / exp2((7 * shift - 50 * other + 3 * i) / 16.0) - 1) < 1e-15, name, "v_exp2_16");
            EACH(v_narrow(W(v_mul)(v_widen_low(va), v_widen_low(vb)), W(v_mul)(v_widen_high(va), v_widen_high(vb))),
                 (float)((double)left * right), "v_widen_low, v_widen_high or v_narrow");
#else
            EACH(v_fms(va, vb, va), fma(left, right, -left), "v_fms");
            double table[16], k[2 * lanes];
            for (int i = 0; i < 16; i++)
                table[i] = 1 + i / 16.0;
            for (int i = 0; i < lanes; i++)
                k[i] = 0x1.8p52 + 7 * shift - 5 * other + 3 * i;
            const v_t kf = v_load((const char *)k);
            v_store((char *)y, v_lookup16(table, kf));
            for (int i = 0; i < lanes; i++)
                expect(y[i] == table[(7 * shift - 5 * other + 3 * i) & 15], name, "v_lookup16");
            v_store((char *)y, v_scale_bits(v_set(1.5), v_fma(v_sub(kf, v_set(0x1.8p52)), v_set(16), v_set(0x1.8p52))));
            for (int i = 0; i < lanes; i++)
                expect(y[i] == ldexp(1.5, 7 * shift - 5 * other + 3 * i), name, "v_scale_bits");
#endif

            for (int k = 1; k < lanes; k++) {
                v_store((char *)y, v_load_some((const char *)(a + 1), k));
                for (int i = 0; i < lanes; i++) {
                    const scalar_t idle = 0;
                    expect(same(y + i, i < k ? a + 1 + i : &idle, sizeof *y), name, "v_load_some");
                }
                memset(y, 0x55, sizeof y);
                memset(want, 0x55, sizeof want);
                v_store_some((char *)(y + lanes), k, va);
                expect(same(y, want, sizeof want), name, "v_store_some (below)");
                expect(same(y + lanes, a, (size_t)k * sizeof *y), name, "v_store_some");
                expect(same(y + lanes + k, want, (size_t)(lanes - k) * sizeof *y), name, "v_store_some (above)");
            }
        }
}
#undef FMA
#undef LEAKY_LANES
#undef LEAKY_WIDE
#undef LEAKY_LANE_COUNT
#endif
