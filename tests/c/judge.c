/* The judge of tests/exhaustive.py: what ELU, CELU and SELU and their derivatives are, in long double for float32 and in
 * quadruple precision for float64, and how far a result lies from it.  A float32 result that the judge puts too close to
 * the middle of two floats to be sure counts as doubtful and not as misrounded; the caller asks mpmath. */
#include <float.h>
#include <math.h>
#include <quadmath.h>
#include <stddef.h>
#include <stdint.h>

#if LDBL_MANT_DIG < 64
#error "the judge needs a long double of 64 bits or more"
#endif

/* Left of 0: c * expm1(x / d), or c * exp(x / d) where `derivative`; right of 0: scale * x, or scale. */
struct function {
    int derivative;
    double c, d, scale;
};

enum { DOUBTS = 64 };

struct found {
    double worst, worst_x; /* ULP */
    uint64_t judged, misrounded, doubtful;
    double doubts[DOUBTS][2]; /* x and result */
};

/* glibc's manual bounds expm1l and expl on x86-64 by 3 ULP, 2^-61.4; the shortcuts are below that:
 * |z| < 2^-20: expm1(z) = z (1 + z/2 (1 + z/3)) leaves out z^3/24 < 2^-64.5 of it, and exp(z) = 1 + that;
 * z < -45: expm1(z) = -1 is off by 2^-64.9; z < -300: c exp(z) < |c| 2^-432, which 0 stands for, rounds to 0 for any float c. */
static long double small_expm1(long double z) { return z * (1 + z / 2 * (1 + z / 3)); }

static long double expm1_of(long double z)
{
    return z < -45 ? -1 : fabsl(z) < 0x1p-20L ? small_expm1(z) : expm1l(z);
}

static long double exp_of(long double z)
{
    return z < -300 ? 0 : fabsl(z) < 0x1p-20L ? 1 + small_expm1(z) : expl(z);
}

/* Also the number of units in the last place that 1 is there. */
void exact_float32(const struct function *f, const float *x, ptrdiff_t n, long double *exact, double *places)
{
    for (ptrdiff_t i = 0; i < n; i++) {
        if (isnan(x[i]))
            exact[i] = NAN;
        else if (x[i] > 0)
            exact[i] = f->scale * (f->derivative ? 1.0L : (long double)x[i]);
        else
            exact[i] = f->c * (f->derivative ? exp_of(x[i] / (long double)f->d) : expm1_of(x[i] / (long double)f->d));
        int exponent;
        frexpl(exact[i], &exponent);
        places[i] = ldexp(1, FLT_MANT_DIG - (exponent < -125 ? -125 : exponent));
    }
}

/* The relative distance within which the judge may err: x / d is rounded unless d is 1, and up to 150 is as many times
 * worse in the exponential. */
void judge_float32(const struct function *f, const float *x, const long double *exact, const double *places,
                   const float *y, ptrdiff_t n, struct found *found)
{
    const long double uncertainty = f->d == 1 ? 0x1p-60L : 0x1p-55L;
    for (ptrdiff_t i = 0; i < n; i++) {
        if (isnan(exact[i])) {
            found->misrounded += !isnan(y[i]);
            continue;
        }
        const float rounded = (float)exact[i];
        const int same = rounded == y[i] && !signbit(rounded) == !signbit(y[i]);
        found->judged++;
        if (isinf(rounded) || isinf(y[i]) || isnan(y[i])) {
            if (!same) {
                found->misrounded++;
                found->worst = INFINITY;
                found->worst_x = x[i];
            }
            continue;
        }
        const double error = (double)(fabsl((long double)y[i] - exact[i]) * places[i]);
        if (error > found->worst) {
            found->worst = error;
            found->worst_x = x[i];
        }
        if (same && error < 0.4999)
            continue;
        const long double band = exact[i] * uncertainty;
        const float below = (float)(exact[i] - band), above = (float)(exact[i] + band);
        if (error > 0.4999 && below != above && (y[i] == below || y[i] == above)) {
            if (found->doubtful < DOUBTS) {
                found->doubts[found->doubtful][0] = x[i];
                found->doubts[found->doubtful][1] = y[i];
            }
            found->doubtful++;
        } else
            found->misrounded += !same;
    }
}

void judge_float64(const struct function *f, const double *x, const double *y, ptrdiff_t n, struct found *found)
{
    for (ptrdiff_t i = 0; i < n; i++) {
        const __float128 z = x[i] / (__float128)f->d;
        const __float128 exact = x[i] > 0 ? f->scale * (f->derivative ? 1.0Q : (__float128)x[i])
                                          : f->c * (f->derivative ? expq(z) : expm1q(z));
        const double rounded = (double)exact;
        found->judged++;
        if (rounded == y[i] && isinf(rounded))
            continue;
        int exponent;
        frexpq(exact, &exponent);
        exponent = (exponent < -1021 ? -1021 : exponent) - DBL_MANT_DIG;
        const double error = (double)scalbnq(fabsq(y[i] - exact), -exponent);
        found->misrounded += rounded != y[i] || !signbit(rounded) != !signbit(y[i]);
        if (!(error <= found->worst)) {
            found->worst = isnan(error) ? INFINITY : error;
            found->worst_x = x[i];
        }
    }
}
