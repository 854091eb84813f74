/* The vocabulary (see simd_scalar.h) for aarch64's Advanced SIMD: 4 lanes of float, 2 of double. */
#undef LEAKY_LANES
#undef LEAKY_LANE_COUNT
#undef scalar_t
#undef NEON
#if LEAKY_BITS == 32
#define LEAKY_LANES f32x4
#define LEAKY_LANE_COUNT 4
#define scalar_t float
#define NEON(op) op##_f32
typedef float32x4_t v_t;
typedef uint32x4_t m_t;
#else
#define LEAKY_LANES f64x2
#define LEAKY_LANE_COUNT 2
#define scalar_t double
#define NEON(op) op##_f64
typedef float64x2_t v_t;
typedef uint64x2_t m_t;
#endif

LEAKY_WORD v_t v_set(scalar_t c) { return NEON(vdupq_n)(c); }

LEAKY_WORD v_t v_load(const char *p)
{
    v_t a;
    memcpy(&a, p, sizeof a);
    return a;
}

LEAKY_WORD void v_store(char *p, v_t a) { memcpy(p, &a, sizeof a); }

/* There is no masked load: k - 1 copies of one lane each. */
LEAKY_WORD v_t v_load_some(const char *p, ptrdiff_t k)
{
    scalar_t lanes[LEAKY_LANE_COUNT] = {0};
    for (ptrdiff_t i = 0; i < k; i++)
        memcpy(lanes + i, p + i * (ptrdiff_t)sizeof *lanes, sizeof *lanes);
    return v_load((const char *)lanes);
}

LEAKY_WORD void v_store_some(char *p, ptrdiff_t k, v_t a)
{
    scalar_t lanes[LEAKY_LANE_COUNT];
    v_store((char *)lanes, a);
    for (ptrdiff_t i = 0; i < k; i++)
        memcpy(p + i * (ptrdiff_t)sizeof *lanes, lanes + i, sizeof *lanes);
}

LEAKY_WORD m_t v_gt(v_t a, v_t b) { return NEON(vcgtq)(a, b); }
LEAKY_WORD m_t v_lt(v_t a, v_t b) { return NEON(vcltq)(a, b); }
LEAKY_WORD v_t v_select(m_t m, v_t a, v_t b) { return NEON(vbslq)(m, a, b); }
LEAKY_WORD v_t v_mul(v_t a, v_t b) { return NEON(vmulq)(a, b); }
