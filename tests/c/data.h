/* What the C tests share: the dtypes, numbers to try, and a NaN that is like any other. */
#ifndef LEAKY_TEST_DATA_H
#define LEAKY_TEST_DATA_H

#include "../../src/leaky.h"

#include <stdint.h>
#include <string.h>

static const ptrdiff_t sizes[LEAKY_DTYPES] = {2, 2, 4, 8};
static const char *const dtype_names[LEAKY_DTYPES] = {"float16", "bfloat16", "float32", "float64"};
static uint64_t random_state;

static uint64_t next_random(void)
{
    random_state += 0x9e3779b97f4a7c15u; /* splitmix64 */
    uint64_t z = random_state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* One of: a special value, any bits at all, a number of everyday size. */
static void put_random(unsigned char *p, enum leaky_dtype dtype)
{
    static const uint32_t special32[] = {0,          0x80000000, 0x7f800000, 0xff800000, 0x7fc00000, 0xffc00001, 1,
                                         0x80000001, 0x007fffff, 0x807fffff, 0x00800000, 0x7f7fffff, 0xff7fffff};
    static const uint64_t special64[] = {0,
                                         0x8000000000000000,
                                         0x7ff0000000000000,
                                         0xfff0000000000000,
                                         0x7ff8000000000000,
                                         0xfff8000000000001,
                                         1,
                                         0x8000000000000001,
                                         0x000fffffffffffff,
                                         0x800fffffffffffff,
                                         0x0010000000000000,
                                         0x7fefffffffffffff,
                                         0xffefffffffffffff};
    const uint64_t kind = next_random() % 8, bits = next_random();
    const int everyday = (int)(bits % 20001) - 10000;
    const float narrow = (float)everyday / 1024;
    const double wide = (double)everyday / 1000;

    if (dtype < LEAKY_F32) { /* any bits, or about -3 to 3 */
        const uint16_t raw = (uint16_t)(kind < 3 ? bits : (bits & 0x83ff) | (dtype == LEAKY_F16 ? 0x3c00 : 0x3e00));
        memcpy(p, &raw, 2);
    } else if (dtype == LEAKY_F32) {
        const uint32_t raw = kind == 0 ? special32[bits % (sizeof special32 / 4)] : (uint32_t)bits;
        memcpy(p, kind < 3 ? (const void *)&raw : (const void *)&narrow, 4);
    } else {
        const uint64_t raw = kind == 0 ? special64[bits % (sizeof special64 / 8)] : bits;
        memcpy(p, kind < 3 ? (const void *)&raw : (const void *)&wide, 8);
    }
}

static uint64_t canonical(const unsigned char *p, enum leaky_dtype dtype)
{
    uint16_t half;
    uint32_t narrow;
    uint64_t wide;
    if (dtype < LEAKY_F32) {
        memcpy(&half, p, 2);
        return (half & 0x7fff) > (dtype == LEAKY_F16 ? 0x7c00 : 0x7f80) ? 0x7fff : half;
    }
    if (dtype == LEAKY_F32) {
        memcpy(&narrow, p, 4);
        return (narrow & 0x7fffffff) > 0x7f800000 ? 0x7fc00000 : narrow;
    }
    memcpy(&wide, p, 8);
    return (wide & 0x7fffffffffffffff) > 0x7ff0000000000000 ? 0x7ff8000000000000 : wide;
}

#endif
