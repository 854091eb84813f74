/* The vocabulary (see simd_scalar.h) for AVX2 and FMA: 8 lanes of float, 4 of double. */
#undef LEAKY_LANES
#undef LEAKY_LANE_COUNT
#undef scalar_t
#undef MM
#undef MASK_T
#if LEAKY_BITS == 32
#define LEAKY_LANES f32x8
#define LEAKY_LANE_COUNT 8
#define scalar_t float
#define MM(op) _mm256_##op##_ps
#define MASK_T int32_t
typedef __m256 v_t, m_t;
#else
#define LEAKY_LANES f64x4
#define LEAKY_LANE_COUNT 4
#define scalar_t double
#define MM(op) _mm256_##op##_pd
#define MASK_T int64_t
typedef __m256d v_t, m_t;
#endif

LEAKY_WORD v_t v_set(scalar_t c) { return MM(set1)(c); }
LEAKY_WORD v_t v_load(const char *p) { return MM(loadu)((const scalar_t *)p); }
LEAKY_WORD void v_store(char *p, v_t a) { MM(storeu)((scalar_t *)p, a); }
LEAKY_WORD void v_stream(char *p, v_t a) { MM(stream)((scalar_t *)p, a); }

/* Lanes below k have their sign bit set: a window into ones followed by zeros. */
LEAKY_WORD __m256i v_first(ptrdiff_t k)
{
    static const MASK_T window[2 * LEAKY_LANE_COUNT] = {
        -1, -1, -1, -1,
#if LEAKY_LANE_COUNT == 8
        -1, -1, -1, -1,
#endif
    };
    return _mm256_loadu_si256((const __m256i *)(window + LEAKY_LANE_COUNT - k));
}

LEAKY_WORD v_t v_load_some(const char *p, ptrdiff_t k) { return MM(maskload)((const scalar_t *)p, v_first(k)); }
LEAKY_WORD void v_store_some(char *p, ptrdiff_t k, v_t a) { MM(maskstore)((scalar_t *)p, v_first(k), a); }

LEAKY_WORD m_t v_gt(v_t a, v_t b) { return MM(cmp)(a, b, _CMP_GT_OQ); }
LEAKY_WORD m_t v_lt(v_t a, v_t b) { return MM(cmp)(a, b, _CMP_LT_OQ); }
LEAKY_WORD v_t v_select(m_t m, v_t a, v_t b) { return MM(blendv)(b, a, m); }
LEAKY_WORD v_t v_mul(v_t a, v_t b) { return MM(mul)(a, b); }
LEAKY_WORD v_t v_add(v_t a, v_t b) { return MM(add)(a, b); }
LEAKY_WORD v_t v_sub(v_t a, v_t b) { return MM(sub)(a, b); }
LEAKY_WORD v_t v_div(v_t a, v_t b) { return MM(div)(a, b); }
LEAKY_WORD v_t v_fma(v_t a, v_t b, v_t c) { return MM(fmadd)(a, b, c); }
LEAKY_WORD v_t v_max(v_t a, v_t b) { return MM(max)(a, b); }
LEAKY_WORD v_t v_min(v_t a, v_t b) { return MM(min)(a, b); }
LEAKY_WORD m_t v_eq(v_t a, v_t b) { return MM(cmp)(a, b, _CMP_EQ_OQ); }
LEAKY_WORD uint64_t v_bits(m_t m) { return (uint64_t)(unsigned)MM(movemask)(m); }
#if LEAKY_BITS == 32
LEAKY_WORD m_t v_from_bits(uint64_t bits)
{
    const __m256i lanes = _mm256_set_epi32(128, 64, 32, 16, 8, 4, 2, 1);
    return _mm256_castsi256_ps(_mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32((int)bits), lanes), lanes));
}

/* Comparisons are signed. */
LEAKY_WORD m_t v_below(const uint32_t *words, uint32_t t)
{
    const __m256i sign = _mm256_set1_epi32(INT32_MIN), w = _mm256_loadu_si256((const __m256i *)words);
    return _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32((int)(t ^ 0x80000000)), _mm256_xor_si256(w, sign)));
}

LEAKY_WORD v_t v_uniform(const uint32_t *words)
{
    const __m256i w = _mm256_loadu_si256((const __m256i *)words);
    return _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_srli_epi32(w, 8)), _mm256_set1_ps(0x1p-24f));
}

typedef __m128i h_t;

LEAKY_WORD h_t h_load(const char *p) { return _mm_loadu_si128((const __m128i *)p); }
LEAKY_WORD void h_store(char *p, h_t a) { _mm_storeu_si128((__m128i *)p, a); }
LEAKY_WORD void h_stream(char *p, h_t a) { _mm_stream_si128((__m128i *)p, a); }

/* There is no masked load of 16 bits. */
LEAKY_WORD h_t h_load_some(const char *p, ptrdiff_t k)
{
    uint16_t lanes[LEAKY_LANE_COUNT] = {0};
    for (ptrdiff_t i = 0; i < k; i++)
        memcpy(lanes + i, p + 2 * i, 2);
    return h_load((const char *)lanes);
}

LEAKY_WORD void h_store_some(char *p, ptrdiff_t k, h_t a)
{
    uint16_t lanes[LEAKY_LANE_COUNT];
    h_store((char *)lanes, a);
    for (ptrdiff_t i = 0; i < k; i++)
        memcpy(p + 2 * i, lanes + i, 2);
}

LEAKY_WORD v_t v_widen_f16(h_t a) { return _mm256_cvtph_ps(a); }
LEAKY_WORD h_t v_narrow_f16(v_t a) { return _mm256_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT); }
LEAKY_WORD v_t v_widen_bf16(h_t a) { return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(a), 16)); }

LEAKY_WORD h_t v_narrow_bf16(v_t a)
{
    const __m256i bits = _mm256_castps_si256(a), upper = _mm256_srli_epi32(bits, 16);
    const __m256i half = _mm256_add_epi32(_mm256_set1_epi32(0x7fff), _mm256_and_si256(upper, _mm256_set1_epi32(1)));
    const __m256i rounded = _mm256_srli_epi32(_mm256_add_epi32(bits, half), 16);
    return _mm_packus_epi32(_mm256_castsi256_si128(rounded), _mm256_extracti128_si256(rounded, 1));
}

LEAKY_WORD __m256d v_widen_low(v_t a) { return _mm256_cvtps_pd(_mm256_castps256_ps128(a)); }
LEAKY_WORD __m256d v_widen_high(v_t a) { return _mm256_cvtps_pd(_mm256_extractf128_ps(a, 1)); }
LEAKY_WORD v_t v_narrow(__m256d low, __m256d high)
{
    return _mm256_set_m128(_mm256_cvtpd_ps(high), _mm256_cvtpd_ps(low));
}

LEAKY_WORD __m256d v_mask_low(m_t m)
{
    return _mm256_castsi256_pd(_mm256_cvtepi32_epi64(_mm256_castsi256_si128(_mm256_castps_si256(m))));
}

LEAKY_WORD __m256d v_mask_high(m_t m)
{
    return _mm256_castsi256_pd(_mm256_cvtepi32_epi64(_mm256_extracti128_si256(_mm256_castps_si256(m), 1)));
}

/* Eight of the 16 table entries, as one vector of their low and one of their high halves. */
LEAKY_WORD v_t v_exp2_halves(const double *table, const int high)
{
    const v_t a = _mm256_loadu_ps((const float *)table), b = _mm256_loadu_ps((const float *)(table + 4));
    const v_t half = high ? _mm256_shuffle_ps(a, b, 0xdd) : _mm256_shuffle_ps(a, b, 0x88);
    return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(half), 0xd8));
}

/* The halves of the doubles are looked up for all eight lanes at once, in the order in which they can be interleaved. */
LEAKY_WORD void v_exp2_16(__m256d *low, __m256d *high)
{
    const __m256i k = _mm256_castps_si256(_mm256_shuffle_ps(_mm256_castpd_ps(*low), _mm256_castpd_ps(*high), 0x88));
    const v_t upper_table = _mm256_castsi256_ps(_mm256_slli_epi32(k, 28)); /* sign bit: the index is 8 or more */
#define LOOK_UP(half)                                                                              \
    _mm256_blendv_ps(_mm256_permutevar8x32_ps(v_exp2_halves(leaky_exp2_16, half), k),              \
                     _mm256_permutevar8x32_ps(v_exp2_halves(leaky_exp2_16 + 8, half), k), upper_table)
    const __m256i upper = _mm256_add_epi32(_mm256_castps_si256(LOOK_UP(1)), _mm256_slli_epi32(k, 16));
    const __m256i lower = _mm256_castps_si256(LOOK_UP(0));
#undef LOOK_UP
    *low = _mm256_castsi256_pd(_mm256_unpacklo_epi32(lower, upper));
    *high = _mm256_castsi256_pd(_mm256_unpackhi_epi32(lower, upper));
}
#else
LEAKY_WORD m_t v_from_bits(uint64_t bits)
{
    const __m256i lanes = _mm256_set_epi64x(8, 4, 2, 1);
    return _mm256_castsi256_pd(_mm256_cmpeq_epi64(_mm256_and_si256(_mm256_set1_epi64x((long long)bits), lanes), lanes));
}

LEAKY_WORD m_t v_below(const uint32_t *words, uint32_t t)
{
    const __m128i sign = _mm_set1_epi32(INT32_MIN), w = _mm_loadu_si128((const __m128i *)words);
    const __m128i below = _mm_cmpgt_epi32(_mm_set1_epi32((int)(t ^ 0x80000000)), _mm_xor_si128(w, sign));
    return _mm256_castsi256_pd(_mm256_cvtepi32_epi64(below));
}

LEAKY_WORD v_t v_uniform(const uint32_t *words)
{
    const __m128i w = _mm_loadu_si128((const __m128i *)words);
    return _mm256_mul_pd(_mm256_cvtepi32_pd(_mm_srli_epi32(w, 8)), _mm256_set1_pd(0x1p-24));
}

typedef __m256i u_t;

LEAKY_WORD u_t u_set(uint64_t c) { return _mm256_set1_epi64x((long long)c); }
LEAKY_WORD u_t u_mul(u_t a, u_t b) { return _mm256_mul_epu32(a, b); }
LEAKY_WORD u_t u_high(u_t a) { return _mm256_srli_epi64(a, 32); }
LEAKY_WORD u_t u_xor(u_t a, u_t b, u_t c) { return _mm256_xor_si256(_mm256_xor_si256(a, b), c); }
LEAKY_WORD u_t u_blocks(uint64_t first) { return _mm256_add_epi64(u_set(first), _mm256_set_epi64x(3, 1, 2, 0)); }

LEAKY_WORD void u_store_words(uint32_t *words, u_t c0, u_t c1, u_t c2, u_t c3)
{
    const __m256i low = _mm256_blend_epi32(c0, _mm256_slli_epi64(c1, 32), 0xaa);
    const __m256i high = _mm256_blend_epi32(c2, _mm256_slli_epi64(c3, 32), 0xaa);
    _mm256_storeu_si256((__m256i *)words, _mm256_unpacklo_epi64(low, high));
    _mm256_storeu_si256((__m256i *)(words + 8), _mm256_unpackhi_epi64(low, high));
}

LEAKY_WORD v_t v_fms(v_t a, v_t b, v_t c) { return _mm256_fmsub_pd(a, b, c); }

/* Four permutations of a quarter of the table each and three blends; a gather takes longer. */
LEAKY_WORD v_t v_lookup16(const double *table, v_t kf)
{
    const __m256i k = _mm256_castpd_si256(kf);
    const __m256i doubled = _mm256_slli_epi32(_mm256_shuffle_epi32(k, 0xa0), 1);
    const __m256i index = _mm256_add_epi32(doubled, _mm256_set1_epi64x(0x100000000));
    const __m256d bit_2 = _mm256_castsi256_pd(_mm256_slli_epi64(k, 61)), bit_3 = _mm256_castsi256_pd(_mm256_slli_epi64(k, 60));
#define QUARTER(n) \
    _mm256_castsi256_pd(_mm256_permutevar8x32_epi32(_mm256_loadu_si256((const __m256i *)(table + 4 * (n))), index))
    return _mm256_blendv_pd(_mm256_blendv_pd(QUARTER(0), QUARTER(1), bit_2), _mm256_blendv_pd(QUARTER(2), QUARTER(3), bit_2),
                            bit_3);
#undef QUARTER
}

LEAKY_WORD v_t v_scale_bits(v_t t, v_t kf)
{
    return _mm256_castsi256_pd(
        _mm256_add_epi64(_mm256_castpd_si256(t), _mm256_slli_epi64(_mm256_castpd_si256(kf), 48)));
}
#endif
