/* What happens between a call and a kernel: the floating-point environment, and splitting over threads.  Kernels see
 * round-to-nearest, no flushing of subnormals and no traps, whatever another library has set, and the caller finds its own
 * state again, flags included, so that no call ever looks like an overflow to whoever tests the flags afterwards. */
#include "leaky.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

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
/* What was written around the caches is seen by other threads before what is written after. */
static inline void fence(void) { _mm_sfence(); }

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

#if !(defined(__x86_64__) && defined(__GNUC__))
static inline void fence(void) {}
#endif

/* The x87 unit of x86 computes in long double only.  No kernel does, but code around a call may convert such a number. */
#if defined(__x86_64__) && defined(__GNUC__)
struct x87 {
    uint16_t control, status;
};
enum { X87_DEFAULT = 0x37f, X87_FLAGS = 0x3f };
static struct x87 read_x87(void)
{
    struct x87 state;
    __asm__ volatile("fnstcw %0\n\tfnstsw %1" : "=m"(state.control), "=m"(state.status));
    return state;
}
static struct x87 enter_x87(void)
{
    static const uint16_t control = X87_DEFAULT;
    const struct x87 caller = read_x87();
    if (caller.control != control)
        __asm__ volatile("fldcw %0" : : "m"(control));
    return caller;
}
static void leave_x87(struct x87 caller)
{
    const struct x87 now = read_x87();
    if (now.control == caller.control && !((now.status ^ caller.status) & X87_FLAGS))
        return;
    uint16_t all[14]; /* control, status and tag word at every second place, and where the last instruction was */
    __asm__ volatile("fnstenv %0" : "=m"(all));
    all[0] = caller.control;
    all[2] = (uint16_t)((all[2] & ~X87_FLAGS) | (caller.status & X87_FLAGS));
    __asm__ volatile("fldenv %0" : : "m"(all));
}
#else
struct x87 {
    char none;
};
static struct x87 enter_x87(void) { return (struct x87){0}; }
static void leave_x87(struct x87 caller) { (void)caller; }
#endif

struct saved {
    environment vectors;
    struct x87 x87;
};
_Static_assert(sizeof(struct saved) <= sizeof(struct leaky_environment), "leaky_environment has too little room");

void leaky_enter(struct leaky_environment *caller)
{
    struct saved saved;
    memset(&saved, 0, sizeof saved);
    saved.x87 = enter_x87();
    saved.vectors = enter();
    memcpy(caller, &saved, sizeof saved);
}

void leaky_leave(const struct leaky_environment *caller)
{
    struct saved saved;
    memcpy(&saved, caller, sizeof saved);
    leave(saved.vectors);
    leave_x87(saved.x87);
}

/* ---- threads */

/* Elements: of a call that is shared at all; what a chunk is a multiple of; of a parameter's stretch that is short; the most
 * that one is repeated after, and what it is repeated up to. */
enum { FEWEST_SHARED = 16384, MULTIPLE = 1024, SHORT = 256, LONGEST_PERIOD = 32768, TILE = 2048 };

/* What so many elements cost, roughly, in nanoseconds: one thread, AVX-512 on an AMD EPYC, family 25 model 17, in cache. */
int64_t leaky_cost(const struct leaky_entry *entry, ptrdiff_t n)
{
    /* Picoseconds per element; integers, since rounding would raise a flag of the caller's. */
    static const int64_t rectifier[LEAKY_DTYPES] = {100, 140, 100, 200}, exponential[LEAKY_DTYPES] = {650, 700, 550, 2000};
    return n * (leaky_is_exponential(entry->row) ? exponential : rectifier)[entry->dtype] / 1000;
}

static int threads_for(const struct leaky_entry *entry, ptrdiff_t n)
{
    return n < FEWEST_SHARED ? 1 : leaky_threads_for(leaky_cost(entry, n));
}

static ptrdiff_t chunk_length(const struct leaky_entry *entry, ptrdiff_t n, int threads)
{
    const ptrdiff_t chunks = leaky_chunks_for(leaky_cost(entry, n), threads), length = (n + chunks - 1) / chunks;
    return (length + MULTIPLE - 1) / MULTIPLE * MULTIPLE;
}

struct layout {
    leaky_kernel *kernel;
    struct leaky_hints hints;
    char **args;
    const struct leaky_axis *axes;
    int operands, dims;
    ptrdiff_t n, length; /* elements in all; per chunk */
    ptrdiff_t period;    /* not 0: all is contiguous, and of operand `repeated` there is no more than so many elements */
    int repeated;
    ptrdiff_t steps[LEAKY_MAX_INPUTS + 1];
};

/* The elements of one chunk, counted with the first axis the fastest: a kernel per stretch along that axis. */
static void run_chunk(void *context, ptrdiff_t chunk, int member)
{
    const struct layout *const layout = context;
    const struct leaky_axis *const axes = layout->axes;
    ptrdiff_t index[LEAKY_MAX_DIMS], done = chunk * layout->length, rest = done;
    const ptrdiff_t end = layout->n - done < layout->length ? layout->n : done + layout->length;
    char *args[LEAKY_MAX_INPUTS + 1];
    const environment caller = enter();

    (void)member;
    for (int k = 0; k < layout->operands; k++)
        args[k] = layout->args[k];
    if (layout->period) {
        for (ptrdiff_t from = done, stretch; from < end; from += stretch) {
            const ptrdiff_t phase = from % layout->period, left = layout->period - phase;
            stretch = left < end - from ? left : end - from;
            for (int k = 0; k < layout->operands; k++)
                args[k] = layout->args[k] + (k == layout->repeated ? phase : from) * layout->steps[k];
            layout->kernel(args, &stretch, layout->steps, (void *)&layout->hints);
        }
        done = end;
    }
    for (int d = 0; d < layout->dims; rest /= axes[d++].size) {
        index[d] = rest % axes[d].size;
        for (int k = 0; k < layout->operands; k++)
            args[k] += index[d] * axes[d].steps[k];
    }
    while (done < end) {
        const ptrdiff_t left = axes[0].size - index[0], stretch = left < end - done ? left : end - done;
        layout->kernel(args, &stretch, axes[0].steps, (void *)&layout->hints);
        done += stretch;
        for (int k = 0; k < layout->operands; k++)
            args[k] -= index[0] * axes[0].steps[k];
        index[0] = 0;
        for (int d = 1; d < layout->dims; d++) {
            const ptrdiff_t back = ++index[d] == axes[d].size ? axes[d].size : 0;
            for (int k = 0; k < layout->operands; k++)
                args[k] += (1 - back) * axes[d].steps[k];
            if (!back)
                break;
            index[d] = 0;
        }
    }
    if (layout->hints.stream)
        fence();
    leave(caller);
}

struct range {
    leaky_part *part;
    const void *context;
    ptrdiff_t n, length;
};

static void run_part(void *context, ptrdiff_t chunk, int member)
{
    const struct range *const range = context;
    const ptrdiff_t from = chunk * range->length, left = range->n - from;
    const environment caller = enter();
    (void)member;
    range->part(range->context, from, left < range->length ? left : range->length);
    fence();
    leave(caller);
}

void leaky_share(leaky_part *part, const void *context, ptrdiff_t n, int64_t cost)
{
    if (n <= 0)
        return;
    const int threads = n < FEWEST_SHARED ? 1 : leaky_threads_for(cost);
    const ptrdiff_t chunks = threads == 1 ? 1 : leaky_chunks_for(cost, threads), length = (n + chunks - 1) / chunks;
    struct range range = {part, context, n, (length + MULTIPLE - 1) / MULTIPLE * MULTIPLE};
    leaky_parallel(run_part, &range, (n + range.length - 1) / range.length, threads);
}

void leaky_share_tasks(leaky_part *part, const void *context, ptrdiff_t tasks, int64_t cost)
{
    if (tasks <= 0)
        return;
    const int threads = leaky_threads_for(cost);
    const ptrdiff_t chunks = threads == 1 ? 1 : leaky_chunks_for(cost, threads), length = (tasks + chunks - 1) / chunks;
    struct range range = {part, context, tasks, length};
    leaky_parallel(run_part, &range, (tasks + length - 1) / length, threads);
}

/* A result from this size on is written around the caches, unless it is an input.  On a machine whose last cache has 32 MiB
 * two threads take at 16, 24, 32, 64 MiB 0.61, 0.97, 1.26, 2.6 ms so, and 0.42, 0.99, 1.4, 3.6 ms through the caches. */
#define STREAM_FROM ((ptrdiff_t)32 << 20)

int leaky_is_large(enum leaky_dtype dtype, ptrdiff_t n)
{
    return n >= STREAM_FROM / leaky_sizes[dtype];
}

static struct leaky_hints hints_for(const struct leaky_entry *entry, char **args, ptrdiff_t n)
{
    const int inputs = leaky_rows[entry->row].inputs;
    struct leaky_hints hints = {entry->numbers, leaky_is_large(entry->dtype, n)};
    for (int k = 0; k < inputs; k++)
        hints.stream &= args[k] != args[inputs];
    return hints;
}

static void share(const struct leaky_entry *entry, char **args, int dims, const struct leaky_axis *axes, ptrdiff_t n,
                  int threads, ptrdiff_t period)
{
    struct layout layout = {.kernel = leaky_kernel_in_use(entry), .hints = hints_for(entry, args, n), .args = args,
                            .axes = axes, .operands = leaky_rows[entry->row].inputs + 1, .dims = dims, .n = n,
                            .period = period, .repeated = leaky_rows[entry->row].inputs - 1,
                            .length = threads == 1 ? n : chunk_length(entry, n, threads)};
    for (int k = 0; k < layout.operands; k++)
        layout.steps[k] = leaky_sizes[entry->dtype];
    leaky_parallel(run_chunk, &layout, (n + layout.length - 1) / layout.length, threads);
}

/* Where everything is contiguous but for a parameter that goes along one axis, as PReLU's weights do, and whose stretches are
 * so short that calling a kernel for each would cost more than its work: after how many elements it repeats; else 0. */
static ptrdiff_t period_of(const struct leaky_entry *entry, int dims, const struct leaky_axis *axes, ptrdiff_t n)
{
    const int parameter = leaky_rows[entry->row].inputs - 1;
    const ptrdiff_t size = leaky_sizes[entry->dtype];
    if (leaky_rows[entry->row].parameters != 1 || entry->numbers || dims < 2)
        return 0;
    const int along = axes[0].steps[parameter] == 0;
    const ptrdiff_t inner = along ? axes[0].size : 1, period = inner * axes[along].size;
    for (int d = 0; d < dims; d++)
        for (int k = 0; k <= parameter + 1; k++) {
            const ptrdiff_t next = d ? axes[d - 1].steps[k] * axes[d - 1].size : size;
            if (axes[d].steps[k] != (k != parameter ? next : d == along ? size : 0))
                return 0;
        }
    return inner < SHORT && period <= LONGEST_PERIOD && n >= 4 * period ? period : 0;
}

/* Each channel's parameter `inner` times, all of it until there are `count` elements. */
void leaky_repeat(char *to, ptrdiff_t count, const char *parameter, ptrdiff_t channels, ptrdiff_t inner, ptrdiff_t size)
{
    const ptrdiff_t period = channels * inner;
#define REPEAT(size)                                                                \
    for (ptrdiff_t i = 0; i < period && i < count; i += inner, parameter += (size)) \
        for (ptrdiff_t k = i; k < i + inner; k++)                                   \
            memcpy(to + k * (size), parameter, (size))
    if (size == 2)
        REPEAT(2);
    else if (size == 4)
        REPEAT(4);
    else
        REPEAT(8);
#undef REPEAT
    for (ptrdiff_t i = period; i < count; i += period)
        memcpy(to + i * size, to, (size_t)(period * size));
}

void leaky_run_layout(char **args, int dims, const struct leaky_axis *axes, const struct leaky_entry *entry)
{
    char *repeated[LEAKY_MAX_INPUTS + 1], *buffer = NULL;
    const int parameter = leaky_rows[entry->row].inputs - 1;
    ptrdiff_t n = 1;

    for (int d = 0; d < dims; d++)
        if (axes[d].size <= 0) /* before a product of the others, which may be too large */
            return;
    for (int d = 0; d < dims; d++)
        n *= axes[d].size;
    const ptrdiff_t once = period_of(entry, dims, axes, n), period = once < TILE && once ? TILE / once * once : once;
    if (once && (buffer = malloc((size_t)(period * leaky_sizes[entry->dtype])))) {
        const ptrdiff_t inner = axes[0].steps[parameter] ? 1 : axes[0].size;
        leaky_repeat(buffer, period, args[parameter], once / inner, inner, leaky_sizes[entry->dtype]);
        memcpy(repeated, args, (size_t)(parameter + 2) * sizeof *args);
        repeated[parameter] = buffer;
        args = repeated;
    }
    share(entry, args, dims, axes, n, threads_for(entry, n), buffer ? period : 0);
    free(buffer);
}

/* One axis, mostly a short one; in the environment that the caller has entered. */
static void run_stretch(const struct leaky_entry *entry, char **args, ptrdiff_t n, const ptrdiff_t *steps)
{
    const int threads = threads_for(entry, n);
    if (threads == 1 || leaky_depends_on_order(entry, args, n, steps)) {
        struct leaky_hints hints = hints_for(entry, args, n);
        leaky_kernel_in_use(entry)(args, &n, steps, &hints);
        if (hints.stream)
            fence();
        return;
    }
    struct leaky_axis axis = {.size = n};
    memcpy(axis.steps, steps, (size_t)(leaky_rows[entry->row].inputs + 1) * sizeof *steps);
    share(entry, args, 1, &axis, n, threads, 0);
}

/* Below enter(), where the volatile read keeps it. */
static inline void round_number(double number, enum leaky_dtype dtype, void *rounded)
{
    const volatile double unrounded = number;
    const double wide = unrounded;
    const float narrow = (float)unrounded;
    if (dtype == LEAKY_F64)
        memcpy(rounded, &wide, sizeof wide);
    else
        memcpy(rounded, &narrow, sizeof narrow);
}

void leaky_round_number(double number, enum leaky_dtype dtype, void *rounded)
{
    const environment caller = enter();
    round_number(number, dtype, rounded);
    leave(caller);
}

double leaky_scale(double number, int exponent)
{
    const environment caller = enter();
    const volatile double scaled = ldexp(number, exponent);
    leave(caller);
    return scaled;
}

/* A search among the bits of the numbers from 0 to `number`, which are in the numbers' order. */
double leaky_largest_below(double number, enum leaky_dtype dtype)
{
    const environment caller = enter();
    double result = -1;
    if (dtype == LEAKY_F64) {
        uint64_t bits;
        memcpy(&bits, &number, sizeof bits);
        if (bits--)
            memcpy(&result, &bits, sizeof bits);
    } else {
        float rounded, between;
        round_number(number, dtype, &rounded);
        const float stored = leaky_as_stored(rounded, dtype);
        uint32_t below = 0, from; /* the first bits that are not known to be below, and the first that are known not to be */
        memcpy(&from, &rounded, sizeof from);
        while (below < from) {
            const uint32_t middle = below + (from - below) / 2;
            memcpy(&between, &middle, sizeof between);
            if (leaky_as_stored(between, dtype) < stored)
                below = middle + 1;
            else
                from = middle;
        }
        if (from--) {
            memcpy(&between, &from, sizeof between);
            result = between;
        }
    }
    leave(caller);
    return result;
}

void leaky_run(char **args, const ptrdiff_t *n, const ptrdiff_t *steps, void *data)
{
    const struct leaky_entry *const entry = data;
    const environment caller = enter();
    run_stretch(entry, args, *n, steps);
    leave(caller);
}

void leaky_run_number(char **args, ptrdiff_t n, ptrdiff_t *steps, enum leaky_row row, enum leaky_dtype dtype,
                      double number)
{
    const struct leaky_entry *const entry = &leaky_entries[1][row][dtype];
    const int parameter = leaky_rows[row].inputs - 1;
    const environment caller = enter();
    double rounded;

    round_number(number, dtype, &rounded);
    args[parameter] = (char *)&rounded;
    steps[parameter] = 0;
    run_stretch(entry, args, n, steps);
    leave(caller);
}
