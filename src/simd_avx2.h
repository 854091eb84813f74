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
