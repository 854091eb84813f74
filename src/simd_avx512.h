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
LEAKY_WORD void v_stream(char *p, v_t a) { MM(stream)((scalar_t *)p, a); }

LEAKY_WORD m_t v_first(ptrdiff_t k) { return (m_t)((1u << k) - 1); }
LEAKY_WORD v_t v_load_some(const char *p, ptrdiff_t k) { return MM(maskz_loadu)(v_first(k), p); }
LEAKY_WORD void v_store_some(char *p, ptrdiff_t k, v_t a) { MM(mask_storeu)(p, v_first(k), a); }

LEAKY_WORD m_t v_gt(v_t a, v_t b) { return MM_CMP(a, b, _CMP_GT_OQ); }
LEAKY_WORD m_t v_lt(v_t a, v_t b) { return MM_CMP(a, b, _CMP_LT_OQ); }
LEAKY_WORD v_t v_select(m_t m, v_t a, v_t b) { return MM(mask_blend)(m, b, a); }
LEAKY_WORD v_t v_mul(v_t a, v_t b) { return MM(mul)(a, b); }
LEAKY_WORD v_t v_add(v_t a, v_t b) { return MM(add)(a, b); }
LEAKY_WORD v_t v_sub(v_t a, v_t b) { return MM(sub)(a, b); }
LEAKY_WORD v_t v_div(v_t a, v_t b) { return MM(div)(a, b); }
LEAKY_WORD v_t v_fma(v_t a, v_t b, v_t c) { return MM(fmadd)(a, b, c); }
LEAKY_WORD v_t v_max(v_t a, v_t b) { return MM(max)(a, b); }
LEAKY_WORD v_t v_min(v_t a, v_t b) { return MM(min)(a, b); }
LEAKY_WORD m_t v_eq(v_t a, v_t b) { return MM_CMP(a, b, _CMP_EQ_OQ); }
LEAKY_WORD uint64_t v_bits(m_t m) { return m; }
LEAKY_WORD m_t v_from_bits(uint64_t bits) { return (m_t)bits; }
#if LEAKY_BITS == 32
LEAKY_WORD m_t v_below(const uint32_t *words, uint32_t t)
{
    return _mm512_cmplt_epu32_mask(_mm512_loadu_si512(words), _mm512_set1_epi32((int)t));
}

LEAKY_WORD v_t v_uniform(const uint32_t *words)
{
    return _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_srli_epi32(_mm512_loadu_si512(words), 8)), _mm512_set1_ps(0x1p-24f));
}

typedef __m256i h_t;

LEAKY_WORD h_t h_load(const char *p) { return _mm256_loadu_si256((const __m256i *)p); }
LEAKY_WORD h_t h_load_some(const char *p, ptrdiff_t k) { return _mm256_maskz_loadu_epi16(v_first(k), p); }
LEAKY_WORD void h_store(char *p, h_t a) { _mm256_storeu_si256((__m256i *)p, a); }
LEAKY_WORD void h_stream(char *p, h_t a) { _mm256_stream_si256((__m256i *)p, a); }
LEAKY_WORD void h_store_some(char *p, ptrdiff_t k, h_t a) { _mm256_mask_storeu_epi16(p, v_first(k), a); }

LEAKY_WORD v_t v_widen_f16(h_t a) { return _mm512_cvtph_ps(a); }
LEAKY_WORD h_t v_narrow_f16(v_t a) { return _mm512_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT); }
LEAKY_WORD v_t v_widen_bf16(h_t a) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(a), 16)); }

/* Not vcvtneps2bf16, which flushes subnormals. */
LEAKY_WORD h_t v_narrow_bf16(v_t a)
{
    const __m512i bits = _mm512_castps_si512(a), upper = _mm512_srli_epi32(bits, 16);
    const __m512i half = _mm512_add_epi32(_mm512_set1_epi32(0x7fff), _mm512_and_si512(upper, _mm512_set1_epi32(1)));
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(_mm512_add_epi32(bits, half), 16));
}

LEAKY_WORD __m512d v_widen_low(v_t a) { return _mm512_cvtps_pd(_mm512_castps512_ps256(a)); }
LEAKY_WORD __m512d v_widen_high(v_t a) { return _mm512_cvtps_pd(_mm512_extractf32x8_ps(a, 1)); }
LEAKY_WORD v_t v_narrow(__m512d low, __m512d high)
{
    return _mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvtpd_ps(low)), _mm512_cvtpd_ps(high), 1);
}

LEAKY_WORD __mmask8 v_mask_low(m_t m) { return (__mmask8)m; }
LEAKY_WORD __mmask8 v_mask_high(m_t m) { return (__mmask8)(m >> 8); }

LEAKY_WORD void v_exp2_16(__m512d *low, __m512d *high)
{
    *low = W(v_scale_bits)(W(v_lookup16)(leaky_exp2_16, *low), *low);
    *high = W(v_scale_bits)(W(v_lookup16)(leaky_exp2_16, *high), *high);
}
#else
LEAKY_WORD m_t v_below(const uint32_t *words, uint32_t t)
{
    return _mm256_cmplt_epu32_mask(_mm256_loadu_si256((const __m256i *)words), _mm256_set1_epi32((int)t));
}

LEAKY_WORD v_t v_uniform(const uint32_t *words)
{
    const __m256i w = _mm256_loadu_si256((const __m256i *)words);
    return _mm512_mul_pd(_mm512_cvtepi32_pd(_mm256_srli_epi32(w, 8)), _mm512_set1_pd(0x1p-24));
}

typedef __m512i u_t;

LEAKY_WORD u_t u_set(uint64_t c) { return _mm512_set1_epi64((long long)c); }
LEAKY_WORD u_t u_mul(u_t a, u_t b) { return _mm512_mul_epu32(a, b); }
LEAKY_WORD u_t u_high(u_t a) { return _mm512_srli_epi64(a, 32); }
LEAKY_WORD u_t u_xor(u_t a, u_t b, u_t c) { return _mm512_ternarylogic_epi64(a, b, c, 0x96); }
LEAKY_WORD u_t u_blocks(uint64_t first) { return _mm512_add_epi64(u_set(first), _mm512_set_epi64(7, 3, 6, 2, 5, 1, 4, 0)); }

LEAKY_WORD void u_store_words(uint32_t *words, u_t c0, u_t c1, u_t c2, u_t c3)
{
    const __m512i low = _mm512_mask_blend_epi32(0xaaaa, c0, _mm512_slli_epi64(c1, 32));
    const __m512i high = _mm512_mask_blend_epi32(0xaaaa, c2, _mm512_slli_epi64(c3, 32));
    _mm512_storeu_si512(words, _mm512_unpacklo_epi64(low, high));
    _mm512_storeu_si512(words + 16, _mm512_unpackhi_epi64(low, high));
}

LEAKY_WORD v_t v_fms(v_t a, v_t b, v_t c) { return _mm512_fmsub_pd(a, b, c); }

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
