/* Each word of the vocabulary on its own, for every ISA that this machine supports, against plain C.  The file includes
 * itself once per lane type: what stands under LEAKY_LANES is the test, the rest is the list of lane types. */
#ifndef LEAKY_VOCABULARY_LIST
#define LEAKY_VOCABULARY_LIST
#include "../../src/kernels.c"

#include <stdio.h>
#include <stdlib.h>

#undef LEAKY_LANES
#undef LEAKY_LANE_COUNT
#undef scalar_t

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
LEAKY_TARGET("avx2,fma")
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
LEAKY_TARGET("avx2,fma")
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
    words_f64x1();
#if LEAKY_X86
    if (leaky_isa_supported(LEAKY_AVX2))
        words_f32x8(), words_f64x4();
    if (leaky_isa_supported(LEAKY_AVX512))
        words_f32x16(), words_f64x8();
#endif
#if LEAKY_ARM
    words_f32x4(), words_f64x2();
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
#ifdef LEAKY_WIDE
            EACH(v_narrow(W(v_mul)(v_widen_low(va), v_widen_low(vb)), W(v_mul)(v_widen_high(va), v_widen_high(vb))),
                 (float)((double)left * right), "v_widen_low, v_widen_high or v_narrow");
#else
            EACH(v_sub(va, vb), left - right, "v_sub");
            EACH(v_fma(va, vb, va), fma(left, right, left), "v_fma");
            EACH(v_max(va, vb), isgreater(left, right) ? left : right, "v_max");
            EACH(v_min(va, vb), isless(left, right) ? left : right, "v_min");
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
#undef LEAKY_LANES
#undef LEAKY_WIDE
#undef LEAKY_LANE_COUNT
#endif
