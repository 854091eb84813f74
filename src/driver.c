/* What happens between a call and a kernel: the floating-point environment.  Kernels see round-to-nearest, no flushing
 * of subnormals and no traps, whatever another library has set, and the caller finds its own state again, flags
 * included, so that no call ever looks like an overflow to whoever tests the flags afterwards. */
#include "leaky.h"

#include <stdint.h>

#if defined(__x86_64__) && defined(__GNUC__)
#include <xmmintrin.h>
typedef unsigned int environment;
static inline environment enter(void)
{
    const environment caller = _mm_getcsr();
    _mm_setcsr(0x1f80); /* the ABI's initial MXCSR: all exceptions masked, to nearest, no FTZ, no DAZ */
    return caller;
}
static inline void leave(environment caller) { _mm_setcsr(caller); }

#elif defined(__aarch64__) && defined(__GNUC__)
typedef struct {
    uint64_t control, status;
} environment;
static inline environment enter(void)
{
    environment caller;
    __asm__ volatile("mrs %0, fpcr\n\tmrs %1, fpsr" : "=r"(caller.control), "=r"(caller.status));
    __asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)0) : "memory");
    return caller;
}
static inline void leave(environment caller)
{
    __asm__ volatile("msr fpcr, %0\n\tmsr fpsr, %1" : : "r"(caller.control), "r"(caller.status) : "memory");
}

#else
#include <fenv.h>
typedef fenv_t environment;
static inline environment enter(void)
{
    environment caller;
    fegetenv(&caller);
    fesetenv(FE_DFL_ENV);
    return caller;
}
static inline void leave(environment caller) { fesetenv(&caller); }
#endif

void leaky_run(char **args, const ptrdiff_t *n, const ptrdiff_t *steps, void *data)
{
    const struct leaky_entry *const entry = data;
    const environment caller = enter();
    leaky_kernel_in_use(entry)(args, n, steps, entry->numbers ? data : NULL);
    leave(caller);
}

void leaky_run_number(char **args, ptrdiff_t n, ptrdiff_t *steps, enum leaky_row row, enum leaky_dtype dtype,
                      double number)
{
    const struct leaky_entry *const entry = &leaky_entries[1][row][dtype];
    const int parameter = leaky_rows[row].inputs - 1;
    const environment caller = enter();
    /* Both roundings happen in the environment that enter() has loaded: the volatile read keeps them below it. */
    const volatile double unrounded = number;
    double wide = unrounded;
    float narrow = (float)unrounded;

    args[parameter] = dtype == LEAKY_F64 ? (char *)&wide : (char *)&narrow;
    steps[parameter] = 0;
    leaky_kernel_in_use(entry)(args, &n, steps, (void *)entry);
    leave(caller);
}
