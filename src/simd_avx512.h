/* The vocabulary (see simd_scalar.h) for AVX-512 F, BW, DQ and VL: 16 lanes of float, 8 of double. */
#undef LEAKY_LANES
#undef LEAKY_LANE_COUNT
#undef scalar_t
#undef MM
#undef MM_CMP
#if LEAKY_BITS == 32
#define LEAKY_LANES f32x16
#define LEAKY_LANE_COUNT 16
#define scalar_t float
#define MM(op) _mm512_##op##_ps
#define MM_CMP _mm512_cmp_ps_mask
typedef __m512 v_t;
typedef __mmask16 m_t;
#else
#define LEAKY_LANES f64x8
#define LEAKY_LANE_COUNT 8
#define scalar_t double
#define MM(op) _mm512_##op##_pd
#define MM_CMP _mm512_cmp_pd_mask
typedef __m512d v_t;
typedef __mmask8 m_t;
#endif

LEAKY_WORD v_t v_set(scalar_t c) { return MM(set1)(c); }
LEAKY_WORD v_t v_load(const char *p) { return MM(loadu)(p); }
LEAKY_WORD void v_store(char *p, v_t a) { MM(storeu)(p, a); }

LEAKY_WORD m_t v_first(ptrdiff_t k) { return (m_t)((1u << k) - 1); }
LEAKY_WORD v_t v_load_some(const char *p, ptrdiff_t k) { return MM(maskz_loadu)(v_first(k), p); }
LEAKY_WORD void v_store_some(char *p, ptrdiff_t k, v_t a) { MM(mask_storeu)(p, v_first(k), a); }

LEAKY_WORD m_t v_gt(v_t a, v_t b) { return MM_CMP(a, b, _CMP_GT_OQ); }
LEAKY_WORD m_t v_lt(v_t a, v_t b) { return MM_CMP(a, b, _CMP_LT_OQ); }
LEAKY_WORD v_t v_select(m_t m, v_t a, v_t b) { return MM(mask_blend)(m, b, a); }
LEAKY_WORD v_t v_mul(v_t a, v_t b) { return MM(mul)(a, b); }
LEAKY_WORD v_t v_add(v_t a, v_t b) { return MM(add)(a, b); }
LEAKY_WORD v_t v_div(v_t a, v_t b) { return MM(div)(a, b); }
LEAKY_WORD m_t v_eq(v_t a, v_t b) { return MM_CMP(a, b, _CMP_EQ_OQ); }
#if LEAKY_BITS == 32
LEAKY_WORD __m512d v_widen_low(v_t a) { return _mm512_cvtps_pd(_mm512_castps512_ps256(a)); }
LEAKY_WORD __m512d v_widen_high(v_t a) { return _mm512_cvtps_pd(_mm512_extractf32x8_ps(a, 1)); }
LEAKY_WORD v_t v_narrow(__m512d low, __m512d high)
{
    return _mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvtpd_ps(low)), _mm512_cvtpd_ps(high), 1);
}
#else
LEAKY_WORD v_t v_sub(v_t a, v_t b) { return _mm512_sub_pd(a, b); }
LEAKY_WORD v_t v_fma(v_t a, v_t b, v_t c) { return _mm512_fmadd_pd(a, b, c); }
LEAKY_WORD v_t v_max(v_t a, v_t b) { return _mm512_max_pd(a, b); }
LEAKY_WORD v_t v_min(v_t a, v_t b) { return _mm512_min_pd(a, b); }

LEAKY_WORD v_t v_lookup16(const double *table, v_t kf)
{
    return _mm512_permutex2var_pd(_mm512_loadu_pd(table), _mm512_castpd_si512(kf), _mm512_loadu_pd(table + 8));
}

LEAKY_WORD v_t v_scale_bits(v_t t, v_t kf)
{
    return _mm512_castsi512_pd(
        _mm512_add_epi64(_mm512_castpd_si512(t), _mm512_slli_epi64(_mm512_castpd_si512(kf), 48)));
}
#endif
