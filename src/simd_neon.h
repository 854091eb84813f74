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

/* The instruction for it has no intrinsic. */
LEAKY_WORD void v_stream(char *p, v_t a) { v_store(p, a); }

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
LEAKY_WORD v_t v_add(v_t a, v_t b) { return NEON(vaddq)(a, b); }
LEAKY_WORD v_t v_sub(v_t a, v_t b) { return NEON(vsubq)(a, b); }
LEAKY_WORD v_t v_div(v_t a, v_t b) { return NEON(vdivq)(a, b); }
LEAKY_WORD v_t v_fma(v_t a, v_t b, v_t c) { return NEON(vfmaq)(c, a, b); }
LEAKY_WORD v_t v_max(v_t a, v_t b) { return NEON(vbslq)(NEON(vcgtq)(a, b), a, b); }
LEAKY_WORD v_t v_min(v_t a, v_t b) { return NEON(vbslq)(NEON(vcltq)(a, b), a, b); }
LEAKY_WORD m_t v_eq(v_t a, v_t b) { return NEON(vceqq)(a, b); }
#if LEAKY_BITS == 32
LEAKY_WORD uint32x4_t v_lane_bits(void)
{
    static const uint32_t bits[4] = {1, 2, 4, 8};
    return vld1q_u32(bits);
}

LEAKY_WORD uint64_t v_bits(m_t m) { return vaddvq_u32(vandq_u32(m, v_lane_bits())); }
LEAKY_WORD m_t v_from_bits(uint64_t bits) { return vtstq_u32(vdupq_n_u32((uint32_t)bits), v_lane_bits()); }
LEAKY_WORD m_t v_below(const uint32_t *words, uint32_t t) { return vcltq_u32(vld1q_u32(words), vdupq_n_u32(t)); }

LEAKY_WORD v_t v_uniform(const uint32_t *words)
{
    return vmulq_n_f32(vcvtq_f32_u32(vshrq_n_u32(vld1q_u32(words), 8)), 0x1p-24f);
}

typedef uint16x4_t h_t;

LEAKY_WORD h_t h_load(const char *p)
{
    h_t a;
    memcpy(&a, p, sizeof a);
    return a;
}

LEAKY_WORD void h_store(char *p, h_t a) { memcpy(p, &a, sizeof a); }
LEAKY_WORD void h_stream(char *p, h_t a) { h_store(p, a); }

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

LEAKY_WORD v_t v_widen_f16(h_t a) { return vcvt_f32_f16(vreinterpret_f16_u16(a)); }
LEAKY_WORD h_t v_narrow_f16(v_t a) { return vreinterpret_u16_f16(vcvt_f16_f32(a)); }
LEAKY_WORD v_t v_widen_bf16(h_t a) { return vreinterpretq_f32_u32(vshll_n_u16(a, 16)); }

LEAKY_WORD h_t v_narrow_bf16(v_t a)
{
    const uint32x4_t bits = vreinterpretq_u32_f32(a), upper = vshrq_n_u32(bits, 16);
    const uint32x4_t half = vaddq_u32(vdupq_n_u32(0x7fff), vandq_u32(upper, vdupq_n_u32(1)));
    return vshrn_n_u32(vaddq_u32(bits, half), 16);
}

LEAKY_WORD float64x2_t v_widen_low(v_t a) { return vcvt_f64_f32(vget_low_f32(a)); }
LEAKY_WORD float64x2_t v_widen_high(v_t a) { return vcvt_high_f64_f32(a); }
LEAKY_WORD v_t v_narrow(float64x2_t low, float64x2_t high) { return vcvt_high_f32_f64(vcvt_f32_f64(low), high); }

LEAKY_WORD uint64x2_t v_mask_low(m_t m) { return vreinterpretq_u64_s64(vmovl_s32(vget_low_s32(vreinterpretq_s32_u32(m)))); }
LEAKY_WORD uint64x2_t v_mask_high(m_t m) { return vreinterpretq_u64_s64(vmovl_high_s32(vreinterpretq_s32_u32(m))); }

/* The halves of the doubles are looked up byte by byte, 4 * index + 0 to 3, for all four lanes at once. */
LEAKY_WORD void v_exp2_16(float64x2_t *low, float64x2_t *high)
{
    const uint32x4_t k = vuzp1q_u32(vreinterpretq_u32_f64(*low), vreinterpretq_u32_f64(*high));
    const uint32x4_t index = vmlaq_n_u32(vdupq_n_u32(0x03020100), vandq_u32(k, vdupq_n_u32(15)), 0x04040404);
    uint8x16x4_t halves[2];
    for (int i = 0; i < 4; i++) {
        const uint32x4x2_t entries = vld2q_u32((const uint32_t *)(leaky_exp2_16 + 4 * i));
        halves[0].val[i] = vreinterpretq_u8_u32(entries.val[0]);
        halves[1].val[i] = vreinterpretq_u8_u32(entries.val[1]);
    }
    const uint32x4_t lower = vreinterpretq_u32_u8(vqtbl4q_u8(halves[0], vreinterpretq_u8_u32(index)));
    const uint32x4_t upper = vaddq_u32(vreinterpretq_u32_u8(vqtbl4q_u8(halves[1], vreinterpretq_u8_u32(index))),
                                       vshlq_n_u32(k, 16));
    *low = vreinterpretq_f64_u32(vzip1q_u32(lower, upper));
    *high = vreinterpretq_f64_u32(vzip2q_u32(lower, upper));
}
#else
LEAKY_WORD uint64x2_t v_lane_bits(void) { return vcombine_u64(vdup_n_u64(1), vdup_n_u64(2)); }
LEAKY_WORD uint64_t v_bits(m_t m) { return vaddvq_u64(vandq_u64(m, v_lane_bits())); }
LEAKY_WORD m_t v_from_bits(uint64_t bits) { return vtstq_u64(vdupq_n_u64(bits), v_lane_bits()); }
LEAKY_WORD m_t v_below(const uint32_t *words, uint32_t t) { return vcltq_u64(vmovl_u32(vld1_u32(words)), vdupq_n_u64(t)); }

LEAKY_WORD v_t v_uniform(const uint32_t *words)
{
    return vmulq_n_f64(vcvtq_f64_u64(vshrq_n_u64(vmovl_u32(vld1_u32(words)), 8)), 0x1p-24);
}

typedef uint64x2_t u_t;

LEAKY_WORD u_t u_set(uint64_t c) { return vdupq_n_u64(c); }
LEAKY_WORD u_t u_mul(u_t a, u_t b) { return vmull_u32(vmovn_u64(a), vmovn_u64(b)); }
LEAKY_WORD u_t u_high(u_t a) { return vshrq_n_u64(a, 32); }
LEAKY_WORD u_t u_xor(u_t a, u_t b, u_t c) { return veorq_u64(veorq_u64(a, b), c); }
LEAKY_WORD u_t u_blocks(uint64_t first) { return vcombine_u64(vcreate_u64(first), vcreate_u64(first + 1)); }

LEAKY_WORD void u_store_words(uint32_t *words, u_t c0, u_t c1, u_t c2, u_t c3)
{
    const uint64x2_t low = vsliq_n_u64(c0, c1, 32), high = vsliq_n_u64(c2, c3, 32);
    vst1q_u32(words, vreinterpretq_u32_u64(vzip1q_u64(low, high)));
    vst1q_u32(words + 4, vreinterpretq_u32_u64(vzip2q_u64(low, high)));
}

LEAKY_WORD v_t v_fms(v_t a, v_t b, v_t c) { return vfmaq_f64(vnegq_f64(c), a, b); }

LEAKY_WORD v_t v_lookup16(const double *table, v_t kf)
{
    const uint64x2_t k = vandq_u64(vreinterpretq_u64_f64(kf), vdupq_n_u64(15));
    return vcombine_f64(vld1_f64(table + vgetq_lane_u64(k, 0)), vld1_f64(table + vgetq_lane_u64(k, 1)));
}

LEAKY_WORD v_t v_scale_bits(v_t t, v_t kf)
{
    return vreinterpretq_f64_u64(vaddq_u64(vreinterpretq_u64_f64(t), vshlq_n_u64(vreinterpretq_u64_f64(kf), 48)));
}
#endif
