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
LEAKY_WORD v_t v_div(v_t a, v_t b) { return MM(div)(a, b); }
LEAKY_WORD m_t v_eq(v_t a, v_t b) { return MM(cmp)(a, b, _CMP_EQ_OQ); }
#if LEAKY_BITS == 32
LEAKY_WORD __m256d v_widen_low(v_t a) { return _mm256_cvtps_pd(_mm256_castps256_ps128(a)); }
LEAKY_WORD __m256d v_widen_high(v_t a) { return _mm256_cvtps_pd(_mm256_extractf128_ps(a, 1)); }
LEAKY_WORD v_t v_narrow(__m256d low, __m256d high)
{
    return _mm256_set_m128(_mm256_cvtpd_ps(high), _mm256_cvtpd_ps(low));
}
#else
LEAKY_WORD v_t v_sub(v_t a, v_t b) { return _mm256_sub_pd(a, b); }
LEAKY_WORD v_t v_fma(v_t a, v_t b, v_t c) { return _mm256_fmadd_pd(a, b, c); }
LEAKY_WORD v_t v_max(v_t a, v_t b) { return _mm256_max_pd(a, b); }
LEAKY_WORD v_t v_min(v_t a, v_t b) { return _mm256_min_pd(a, b); }

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
