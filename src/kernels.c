/* Every kernel: enters each ISA's target region in turn and compiles there what region.inc lists, once per
 * dtype.  The flags are the same for all sources and stay at the ABI's baseline; only the regions raise the ISA.  To add
 * an ISA, add its simd_*.h, a region, a row in leaky_kernel_tables and its detection in dispatch.c. */
#include "leaky.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "philox.h"

#if defined(__FAST_MATH__)
#error "fast-math changes results; compile without it"
#endif
#if defined(__AVX__)
#error "compile for the baseline (no -march=native); AVX2 and AVX-512 are chosen at run time"
#endif

/* On Windows GCC (seen with 12) does not align the stack for vectors of 32 and 64 bytes, so that a spilled one may crash:
 * https://gcc.gnu.org/bugzilla/show_bug.cgi?id=54412.  So only scalar kernels are built there, unless the assembler turns aligned
 * moves into unaligned ones: -Wa,-muse-unaligned-vector-move (binutils 2.38), with -DLEAKY_UNALIGNED_MOVES. */
#if defined(__x86_64__) && defined(__GNUC__) && (!defined(_WIN32) || defined(__clang__) || defined(LEAKY_UNALIGNED_MOVES))
#define LEAKY_X86 1
#include <immintrin.h>
#endif
#if defined(__aarch64__) && defined(__GNUC__)
#define LEAKY_ARM 1
#include <arm_neon.h>
#endif

#if defined(__GNUC__)
#define LEAKY_WORD static inline __attribute__((always_inline, unused))
#define LEAKY_CALLED static __attribute__((noinline))
#else
#define LEAKY_WORD static inline
#define LEAKY_CALLED static
#endif

#define LEAKY_PRAGMA(text) _Pragma(#text)
#if defined(__clang__)
#define LEAKY_TARGET(isa) LEAKY_PRAGMA(clang attribute push(__attribute__((target(isa))), apply_to = function))
#define LEAKY_TARGET_END LEAKY_PRAGMA(clang attribute pop)
#else
#define LEAKY_TARGET(isa) LEAKY_PRAGMA(GCC push_options) LEAKY_PRAGMA(GCC target(isa))
#define LEAKY_TARGET_END LEAKY_PRAGMA(GCC pop_options)
#endif

/* V(v_mul) is v_mul_f32x8 while LEAKY_LANES is f32x8. */
#define LEAKY_PASTE_(word, lanes) word##_##lanes
#define LEAKY_PASTE(word, lanes) LEAKY_PASTE_(word, lanes)
#define V(word) LEAKY_PASTE(word, LEAKY_LANES)
/* W(v_mul) is the word for the float64 lanes of the same ISA; the first ## keeps v_mul from becoming V(v_mul). */
#define LEAKY_JOIN_(word, lanes) word##lanes
#define LEAKY_JOIN(word, lanes) LEAKY_JOIN_(word, lanes)
#define W(word) LEAKY_JOIN(word##_, LEAKY_WIDE)

/* What is stored may be narrower than its lanes: S(v_load) is v_load_f16_f32x8 while LEAKY_HALF is f16. */
#define S(word) LEAKY_PASTE(word, LEAKY_STORED)
#define v_load S(v_load)
#define v_load_some S(v_load_some)
#define v_load_number S(v_load_number)
#define v_store S(v_store)
#define v_store_some S(v_store_some)
#define v_stream S(v_stream)
#define h_stream V(h_stream)
#define h_t V(h_t)
#define h_load V(h_load)
#define h_load_some V(h_load_some)
#define h_store V(h_store)
#define h_store_some V(h_store_some)
#define v_widen_f16 V(v_widen_f16)
#define v_widen_bf16 V(v_widen_bf16)
#define v_narrow_f16 V(v_narrow_f16)
#define v_narrow_bf16 V(v_narrow_bf16)

#define v_t V(v_t)
#define m_t V(m_t)
#define v_set V(v_set)
#define v_first V(v_first)
#define v_gt V(v_gt)
#define v_lt V(v_lt)
#define v_select V(v_select)
#define v_mul V(v_mul)
#define v_add V(v_add)
#define v_sub V(v_sub)
#define v_div V(v_div)
#define v_fma V(v_fma)
#define v_max V(v_max)
#define v_min V(v_min)
#define v_eq V(v_eq)
#define v_lane_bits V(v_lane_bits)
#define v_bits V(v_bits)
#define v_from_bits V(v_from_bits)
#define v_below V(v_below)
#define v_uniform V(v_uniform)
#define u_t V(u_t)
#define u_set V(u_set)
#define u_mul V(u_mul)
#define u_high V(u_high)
#define u_xor V(u_xor)
#define u_blocks V(u_blocks)
#define u_store_words V(u_store_words)
#define u_philox V(u_philox)
#define v_widen_low V(v_widen_low)
#define v_widen_high V(v_widen_high)
#define v_narrow V(v_narrow)
#define v_mask_low V(v_mask_low)
#define v_mask_high V(v_mask_high)
#define v_fms V(v_fms)
#define v_exp2_halves V(v_exp2_halves)
#define v_exp2_16 V(v_exp2_16)
#define v_lookup16 V(v_lookup16)
#define v_scale_bits V(v_scale_bits)
#define v_clamp V(v_clamp)
#define v_near_k V(v_near_k)
#define v_near_rest V(v_near_rest)
#define v_near_expm1 V(v_near_expm1)
#define v_near_exp V(v_near_exp)
#define v_pair_exp V(v_pair_exp)
#define v_pair_expm1 V(v_pair_expm1)
#define v_pair_exp_times V(v_pair_exp_times)
#define v_pair_div V(v_pair_div)
#define v_finish V(v_finish)
#define v_expm1 V(v_expm1)
#define v_exp V(v_exp)
#define v_expm1_div V(v_expm1_div)
#define v_exp_div V(v_exp_div)
#define w_t V(w_t)
#define w_round V(w_round)
#define w_widen V(w_widen)
#define w_set V(w_set)
#define w_times V(w_times)
#define w_mul V(w_mul)
#define w_add V(w_add)
#define w_select V(w_select)
#define w_power V(w_power)
#define w_near_expm1 V(w_near_expm1)
#define w_near_exp V(w_near_exp)
#define w_clamp V(w_clamp)
#define w_expm1 V(w_expm1)
#define w_exp V(w_exp)
#define w_div V(w_div)

#define LEAKY_BIND_1(p) p = in[0]
#define LEAKY_BIND_2(p, q) p = in[0], q = in[1]
#define LEAKY_BIND_3(p, q, r) p = in[0], q = in[1], r = in[2]
#define LEAKY_BIND_4(p, q, r, s) p = in[0], q = in[1], r = in[2], s = in[3]

/* From this many vectors on, the partial vector that aligns the output costs less than the stores that it keeps from
 * crossing cache lines. */
#define LEAKY_ALIGN_FROM 16

/* Elements that are gathered at a time for a strided operand: large enough to hide the loop around them, small enough that the
 * buffers of all operands stay in the first-level cache. */
#define LEAKY_BLOCK 256

/* wide: numbers have the type of the lanes. */
typedef void leaky_contiguous(char **args, ptrdiff_t n, int wide, int stream);

static void leaky_copy(char *to, ptrdiff_t to_step, const char *from, ptrdiff_t from_step, ptrdiff_t size, ptrdiff_t n)
{
#define COPY(size)                                              \
    for (ptrdiff_t i = 0; i < n; i++)                           \
        memcpy(to + i * to_step, from + i * from_step, (size))
    if (size == 2)
        COPY(2);
    else if (size == 4)
        COPY(4);
    else
        COPY(8);
#undef COPY
}

/* Whether writing out[i] can change what a later element reads.  Equal pointers and steps are safe as long as the
 * elements themselves lie apart. */
static int leaky_interferes(const char *in, ptrdiff_t in_step, ptrdiff_t in_size, const char *out, ptrdiff_t out_step,
                            ptrdiff_t out_size, ptrdiff_t n)
{
    if (in == out && in_step == out_step && (out_step >= out_size || out_step <= -out_size))
        return 0;
    const uintptr_t in_end = (uintptr_t)in + (uintptr_t)((n - 1) * in_step);
    const uintptr_t out_end = (uintptr_t)out + (uintptr_t)((n - 1) * out_step);
    const uintptr_t in_low = in_step < 0 ? in_end : (uintptr_t)in, in_high = in_step < 0 ? (uintptr_t)in : in_end;
    const uintptr_t out_low = out_step < 0 ? out_end : (uintptr_t)out,
                    out_high = out_step < 0 ? (uintptr_t)out : out_end;
    return in_low < out_high + (uintptr_t)out_size && out_low < in_high + (uintptr_t)in_size;
}

/* Brings any steps and overlaps to the contiguous loops: directly, with numbers for parameters, or block by block through
 * buffers, so that the layout never changes which code computes an element.  Where the output interferes with
 * an input (as in ufunc.reduce and .accumulate), and where parameters wider than the dtype are no single numbers, a block
 * is one element. */
static void leaky_walk(leaky_contiguous *arrays_loop, leaky_contiguous *numbers_loop, int inputs, int parameters,
                       ptrdiff_t size, ptrdiff_t lane_size, const struct leaky_hints *hints, char **args, ptrdiff_t n,
                       const ptrdiff_t *steps)
{
    const int wide = hints && hints->numbers && size < lane_size, stream = hints && hints->stream;
    const ptrdiff_t out_step = steps[inputs];
    const int arrays = inputs - parameters;
    int contiguous = out_step == size, numbers = 0, interferes = n > 1 && out_step < size && out_step > -size;

    if (n <= 0)
        return;
    for (int k = 0; k < inputs; k++) {
        const int number = k >= arrays && steps[k] == 0, is_wide = k >= arrays && wide;
        contiguous &= number || (steps[k] == size && !is_wide);
        numbers += number;
        interferes |= leaky_interferes(args[k], steps[k], is_wide ? (ptrdiff_t)sizeof(double) : size, args[inputs], out_step,
                                       size, n);
    }
    if (contiguous && !interferes && (numbers == parameters || numbers == 0)) {
        (numbers ? numbers_loop : arrays_loop)(args, n, wide, stream);
        return;
    }

    char buffers[LEAKY_MAX_INPUTS + 1][LEAKY_BLOCK * sizeof(double)];
    const int singly = interferes || (wide && numbers < parameters), gathered = wide ? arrays : inputs;
    const ptrdiff_t block = singly ? 1 : LEAKY_BLOCK;
    for (ptrdiff_t start = 0; start < n; start += block) {
        const ptrdiff_t count = n - start < block ? n - start : block;
        char *p[LEAKY_MAX_INPUTS + 1];
        for (int k = 0; k <= inputs; k++) {
            p[k] = args[k] + start * steps[k];
            if ((k < gathered || k == inputs) && (steps[k] != size || interferes)) {
                if (k < inputs)
                    leaky_copy(buffers[k], size, p[k], steps[k], size, count);
                p[k] = buffers[k];
            }
        }
        (wide && parameters ? numbers_loop : arrays_loop)(p, count, wide, 0);
        if (p[inputs] == buffers[inputs])
            leaky_copy(args[inputs] + start * out_step, out_step, p[inputs], size, size, count);
    }
}

/* Sums in float64 are of so many interleaved ones, whatever the number of lanes, and those are added along a tree: rests
 * collects what the roundings of that cut off. */
enum { LEAKY_SUMS = 16 };
static inline void leaky_add_along_tree(double each[LEAKY_SUMS], double rests[LEAKY_SUMS])
{
    for (int half = LEAKY_SUMS / 2; half > 0; half /= 2)
        for (int k = 0; k < half; k++) {
            const double sum = each[k] + each[k + half], added = sum - each[k];
            rests[k] += rests[k + half] + ((each[k] - (sum - added)) + (each[k + half] - added));
            each[k] = sum;
        }
}

/* 2^(j/16) rounded to double, less j << 48 in its bits, for v_scale_bits; and what the rounding left, relative to it. */
static const double leaky_exp2_16[16] = {
    0x1.0000000000000p+0, 0x1.fb5586cf9890fp-1, 0x1.f72b83c7d517bp-1, 0x1.f387a6e756238p-1,
    0x1.f06fe0a31b715p-1, 0x1.edea64c123422p-1, 0x1.ebfdad5362a27p-1, 0x1.eab07dd485429p-1,
    0x1.ea09e667f3bcdp-1, 0x1.ea11473eb0187p-1, 0x1.eace5422aa0dbp-1, 0x1.ec49182a3f090p-1,
    0x1.ee89f995ad3adp-1, 0x1.f199bdd85529cp-1, 0x1.f5818dcfba487p-1, 0x1.fa4afa2a490dap-1,
};
static const double leaky_exp2_16_low[16] = {
    0x0.0p+0, 0x1.79aa65d837b6dp-54, -0x1.01b15eaa59348p-55, 0x1.68efde3a8a894p-54,
    0x1.34d754db0abb6p-55, 0x1.59f48a72a4c6dp-55, 0x1.690cebb7aafb0p-56, 0x1.063e1e21c5409p-54,
    -0x1.3b3efbf5e2228p-54, -0x1.b32dcb94da51dp-56, 0x1.db72fc1f0eab4p-55, 0x1.1affc2b91ce27p-56,
    0x1.c1a7792cb3387p-55, 0x1.36eae30af0cb3p-56, 0x1.4a385a63d07a7p-56, -0x1.ff7128fd391f0p-55,
};

#define LEAKY_SIMD "simd_scalar.h"
#define LEAKY_WIDE f64x1
#include "region.inc"

#if LEAKY_X86
LEAKY_TARGET("avx2,fma,f16c")
#define LEAKY_SIMD "simd_avx2.h"
#define LEAKY_WIDE f64x4
#include "region.inc"
LEAKY_TARGET_END

LEAKY_TARGET("avx512f,avx512bw,avx512dq,avx512vl")
#define LEAKY_SIMD "simd_avx512.h"
#define LEAKY_WIDE f64x8
#include "region.inc"
LEAKY_TARGET_END
#endif

#if LEAKY_ARM
#define LEAKY_SIMD "simd_neon.h"
#define LEAKY_WIDE f64x2
#include "region.inc"
#endif

float leaky_as_stored(float number, enum leaky_dtype dtype)
{
    if (dtype == LEAKY_F16)
        return v_widen_f16_f32x1(v_narrow_f16_f32x1(number));
    return dtype == LEAKY_BF16 ? v_widen_bf16_f32x1(v_narrow_bf16_f32x1(number)) : number;
}

int leaky_is_exponential(enum leaky_row row) { return strstr(leaky_rows[row].formula, "_exp") != NULL; }

int leaky_depends_on_order(const struct leaky_entry *entry, char **args, ptrdiff_t n, const ptrdiff_t *steps)
{
    const int inputs = leaky_rows[entry->row].inputs, arrays = inputs - leaky_rows[entry->row].parameters;
    const ptrdiff_t size = leaky_sizes[entry->dtype], out_step = steps[inputs];
    if (n > 1 && out_step < size && out_step > -size)
        return 1;
    for (int k = 0; k < inputs; k++)
        if (leaky_interferes(args[k], steps[k], k < arrays ? size : (ptrdiff_t)sizeof(double), args[inputs], out_step, size,
                             n))
            return 1;
    return 0;
}

const struct leaky_fused *const leaky_fused_kernels[LEAKY_ISAS][LEAKY_DTYPES] = {
    [LEAKY_SCALAR] = {&fused_f16_f32x1, &fused_bf16_f32x1, &fused_f32x1, &fused_f64x1},
#if LEAKY_X86
    [LEAKY_AVX2] = {&fused_f16_f32x8, &fused_bf16_f32x8, &fused_f32x8, &fused_f64x4},
    [LEAKY_AVX512] = {&fused_f16_f32x16, &fused_bf16_f32x16, &fused_f32x16, &fused_f64x8},
#endif
#if LEAKY_ARM
    [LEAKY_NEON] = {&fused_f16_f32x4, &fused_bf16_f32x4, &fused_f32x4, &fused_f64x2},
#endif
};

const struct leaky_reductions *const leaky_reduction_kernels[LEAKY_ISAS][LEAKY_DTYPES] = {
    [LEAKY_SCALAR] = {&reductions_f16_f32x1, &reductions_bf16_f32x1, &reductions_f32x1, &reductions_f64x1},
#if LEAKY_X86
    [LEAKY_AVX2] = {&reductions_f16_f32x8, &reductions_bf16_f32x8, &reductions_f32x8, &reductions_f64x4},
    [LEAKY_AVX512] = {&reductions_f16_f32x16, &reductions_bf16_f32x16, &reductions_f32x16, &reductions_f64x8},
#endif
#if LEAKY_ARM
    [LEAKY_NEON] = {&reductions_f16_f32x4, &reductions_bf16_f32x4, &reductions_f32x4, &reductions_f64x2},
#endif
};

leaky_kernel *const *const leaky_kernels[LEAKY_ISAS][LEAKY_DTYPES] = {
    [LEAKY_SCALAR] = {kernels_f16_f32x1, kernels_bf16_f32x1, kernels_f32x1, kernels_f64x1},
#if LEAKY_X86
    [LEAKY_AVX2] = {kernels_f16_f32x8, kernels_bf16_f32x8, kernels_f32x8, kernels_f64x4},
    [LEAKY_AVX512] = {kernels_f16_f32x16, kernels_bf16_f32x16, kernels_f32x16, kernels_f64x8},
#endif
#if LEAKY_ARM
    [LEAKY_NEON] = {kernels_f16_f32x4, kernels_bf16_f32x4, kernels_f32x4, kernels_f64x2},
#endif
};
