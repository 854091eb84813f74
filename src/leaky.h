/* The C API of the core: what a row, a dtype, an ISA and a kernel are, and how to run one.  No Python header belongs
 * here or in any other file of src/.  A new row needs no change here; a new dtype or ISA needs its enumerator. */
#ifndef LEAKY_H
#define LEAKY_H

#include <stddef.h>
#include <stdint.h>

#include "activations.h"

enum leaky_row {
#define ROW(name, inputs, parameters, names, formula) LEAKY_##name,
    LEAKY_TABLE(ROW)
#undef ROW
    LEAKY_ROWS
};

enum leaky_dtype { LEAKY_F16, LEAKY_BF16, LEAKY_F32, LEAKY_F64, LEAKY_DTYPES };

enum leaky_isa { LEAKY_SCALAR, LEAKY_AVX2, LEAKY_AVX512, LEAKY_NEON, LEAKY_ISAS };

/* A kernel is an inner loop of a NumPy ufunc in plain C: one pointer and one step in bytes per operand, the inputs first,
 * the output last, and n[0] elements.  Pointers may be misaligned, steps may be negative or 0, and operands may
 * overlap in any way: the result is that of a loop that goes from element to element.  float16 and bfloat16 are
 * computed in float32 and rounded once.  data is a leaky_hints or NULL, which is all zeros. */
typedef void leaky_kernel(char **args, const ptrdiff_t *n, const ptrdiff_t *steps, void *data);

struct leaky_hints {
    int numbers; /* the row's parameters are not in a half type but in float32 */
    int stream;  /* a contiguous result is too large for the caches, and no input of the call: write around them */
};

struct leaky_row_info {
    const char *name;
    int inputs, parameters;
    const char *names;   /* of the inputs: "(grad, x, slope)" */
    const char *formula; /* "v_select(...)" */
};

/* What the driver's `data` points to: which kernel to look up in the table of the ISA in use, and whether the row's
 * parameters are numbers, which no half type rounds: float64 for float64, float32 for the others. */
struct leaky_entry {
    enum leaky_row row;
    enum leaky_dtype dtype;
    int numbers;
};

extern const struct leaky_row_info leaky_rows[LEAKY_ROWS];
extern const struct leaky_entry leaky_entries[2][LEAKY_ROWS][LEAKY_DTYPES]; /* first index: numbers */
extern const char *const leaky_isa_names[LEAKY_ISAS];
extern const ptrdiff_t leaky_sizes[LEAKY_DTYPES]; /* bytes of an element */

/* kernels.c: by row; NULL where this build does not hold the ISA. */
extern leaky_kernel *const *const leaky_kernels[LEAKY_ISAS][LEAKY_DTYPES];

/* dispatch.c */
int leaky_isa_supported(enum leaky_isa isa); /* by this build and this CPU */
enum leaky_isa leaky_isa_in_use(void);
int leaky_use_isa(const char *name);         /* 0, or -1 when name is unknown or not supported; not while calls run */
int leaky_choose_isa(void);                  /* PYLEAKY_ISA or, where it is unset or empty, the widest; as leaky_use_isa */
leaky_kernel *leaky_kernel_in_use(const struct leaky_entry *entry);

/* threads.c: chunk(context, i, member) once for each i below `chunks` (at most 4095), on up to `threads` threads, of which
 * `member` (0 is the caller) names the one that runs it. */
enum { LEAKY_MAX_THREADS = 256 };
typedef void leaky_chunk(void *context, ptrdiff_t chunk, int member);
void leaky_parallel(leaky_chunk *chunk, void *context, ptrdiff_t chunks, int threads);
int leaky_threads_for(int64_t alone); /* how many a call is worth that takes so many nanoseconds on one */
ptrdiff_t leaky_chunks_for(int64_t alone, int threads);
int leaky_get_threads(void);         /* for the calling thread */
int leaky_limit_threads(int count);  /* for the calling thread, 0 lifts it; returns the limit before */
void leaky_set_threads(int count);   /* for all; what is too many finishes */
void leaky_wake_for_idle_work(void); /* leaky_memory_trim is to be called about once a second until it returns 0 */

/* limits.c */
int leaky_available_threads(void);   /* by CPU affinity and cgroup quota */
size_t leaky_available_memory(void); /* RAM or the cgroup's limit */

/* memory.c: page-aligned blocks that are recycled; NULL when memory runs out. */
struct leaky_memory_info {
    size_t limit, cached, blocks, hits, misses; /* bytes, bytes, counts */
};
void *leaky_memory_take(size_t size);
void *leaky_memory_take_zeros(size_t count, size_t size);
void *leaky_memory_resize(void *data, size_t size);
void leaky_memory_give(void *data);
int leaky_memory_trim(void); /* whether anything is left */
void leaky_memory_clear(void);
void leaky_memory_set_limit(size_t limit);
struct leaky_memory_info leaky_memory_info(void);

/* kernels.c */
float leaky_as_stored(float number, enum leaky_dtype dtype); /* rounded to a half type and widened */
int leaky_is_exponential(enum leaky_row row);
/* Whether writing one element can change what a later one reads: then they cannot be shared out. */
int leaky_depends_on_order(const struct leaky_entry *entry, char **args, ptrdiff_t n, const ptrdiff_t *steps);

/* fused.inc: by ISA and dtype, on elements [from, from + n) of contiguous arrays.  A parameter is rounded to the type of the
 * lanes; none is a NaN with a payload. */
enum leaky_masked_kernel {
    LEAKY_RELU_MASKED,
    LEAKY_LEAKY_RELU_MASKED,
    LEAKY_RELU_BACKWARD_MASKED,
    LEAKY_LEAKY_RELU_BACKWARD_MASKED,
    LEAKY_MASKED_KERNELS
};
struct leaky_masked {
    const char *in;      /* x, or grad */
    char *out;           /* may be `in` */
    unsigned char *mask; /* ceil(n / 8) bytes: written with x, read with grad; `from` is a multiple of 8 */
    double slope;
    int stream;
};
enum leaky_random_kernel { LEAKY_DROPOUT, LEAKY_RRELU, LEAKY_RRELU_BACKWARD, LEAKY_RANDOM_KERNELS };
struct leaky_random {
    const char *in[2];            /* x; or grad, x */
    char *out;                    /* may be one of them */
    uint64_t seed, start, stream; /* `start` is element 0's index; those after it count up */
    double p;                     /* dropout */
    double lower, upper;          /* rrelu */
};
/* Elements that are given their biases at a time. */
enum { LEAKY_BIAS_BLOCK = 1024 };
/* Of arrays of outer * channels * inner elements: clamp(activation(x + bias) * gain). */
struct leaky_bias_act {
    const char *x, *bias; /* one for each channel */
    char *y;              /* may be x */
    unsigned char *mask;  /* of x + bias, as in leaky_masked; or NULL */
    ptrdiff_t channels, inner;
    double slope, gain, clamp; /* the row's parameter; infinite for no clamp */
    int stream;
};
/* A task is a block of one row of `inner` elements with the same parameter, or `rows` rows by LEAKY_GRADIENTS_STRIP of the columns,
 * each with a parameter of its own (inner is 1 then).  Its sums go to `sums`, in the order of the tasks or by rows and columns. */
enum { LEAKY_GRADIENTS_BLOCK = 4096, LEAKY_GRADIENTS_STRIP = 256 };
struct leaky_gradients {
    const char *grad, *x, *parameter; /* one weight or bias per channel */
    int number;                       /* one in all, which is in no half type but in float32 */
    char *dx;                         /* may be grad or x */
    ptrdiff_t outer, channels, inner, rows;
    double *sums, *rests; /* and what their roundings have cut off, or 0 */
    /* Of bias + activation; instead of x there may be what it returned, a mask or both. */
    const char *output, *gg; /* gg: of second order, from x; elu and selu only */
    const unsigned char *mask;
    double slope, gain, clamp; /* clamp: the largest number that counts as not clamped */
    int clamps;
};
/* After a bias.  linear is a leaky_relu whose slope is 1, and elu's alpha is 1. */
enum leaky_activation { LEAKY_LINEAR, LEAKY_RELU, LEAKY_LEAKY_RELU, LEAKY_ELU, LEAKY_SELU, LEAKY_ACTIVATIONS };
typedef void leaky_gradients_kernel(const struct leaky_gradients *call, ptrdiff_t task);
struct leaky_fused {
    void (*masked[LEAKY_MASKED_KERNELS])(const struct leaky_masked *call, ptrdiff_t from, ptrdiff_t n);
    void (*random[LEAKY_RANDOM_KERNELS])(const struct leaky_random *call, ptrdiff_t from, ptrdiff_t n);
    void (*bias_act[LEAKY_ACTIVATIONS])(const struct leaky_bias_act *call, ptrdiff_t from, ptrdiff_t n);
    leaky_gradients_kernel *prelu[2], *bias_gradients[LEAKY_ACTIVATIONS][2]; /* by rows, by columns */
};
extern const struct leaky_fused *const leaky_fused_kernels[LEAKY_ISAS][LEAKY_DTYPES];

/* reductions.inc: by ISA and dtype.  A block's sum of magnitudes or squares is of scaled numbers where float64 would overflow or
 * lose bits: of x / LEAKY_NORM_SCALE in range 1, of x * LEAKY_NORM_SCALE in range -1. */
enum leaky_norm { LEAKY_NORM_MAX, LEAKY_NORM_1, LEAKY_NORM_2 };
enum { LEAKY_NORM_BLOCK = 4096, LEAKY_NORM_EXPONENT = 600, LEAKY_MOST_THRESHOLDS = 4 };
#define LEAKY_NORM_SCALE 0x1p600
#define LEAKY_NORM_SMALL 0x1p-900 /* below, the squares that were lost can count */
struct leaky_norm_part {
    double value;
    int range;
};
/* As leaky_gradients: a task is a block of a row of `inner` elements of one unit, or, where `rows` is not 0, some columns of so
 * many rows.  Statistic s (above each of `count` thresholds, sum, sum of squares) goes to results + s * slots, in the order of the
 * tasks or by groups of rows and columns. */
struct leaky_units {
    const char *x;
    ptrdiff_t outer, channels, inner, rows, slots;
    const double *thresholds;
    int count;
    double *results;
};
struct leaky_reductions {
    struct leaky_norm_part (*norm)(enum leaky_norm norm, const char *x, ptrdiff_t n);
    void (*count_units)(const struct leaky_units *call, ptrdiff_t task);
};
extern const struct leaky_reductions *const leaky_reduction_kernels[LEAKY_ISAS][LEAKY_DTYPES];

/* One axis of arrays that are gone through together: its length and every operand's step in bytes. */
enum { LEAKY_MAX_DIMS = 64 };
struct leaky_axis {
    ptrdiff_t size, steps[LEAKY_MAX_INPUTS + 1];
};

/* driver.c: part(context, from, n) until all n elements have been seen to, from threads and in the default floating-point
 * environment; `from` is a multiple of 1024; `cost` is in nanoseconds, on one thread. */
typedef void leaky_part(const void *context, ptrdiff_t from, ptrdiff_t n);
void leaky_share(leaky_part *part, const void *context, ptrdiff_t n, int64_t cost);
/* The same for tasks, each of which is a piece of work; `from` is any. */
void leaky_share_tasks(leaky_part *part, const void *context, ptrdiff_t tasks, int64_t cost);
int leaky_is_large(enum leaky_dtype dtype, ptrdiff_t n); /* a result to be written around the caches */

/* fused.c: the same for the kernels of fused.inc. */
void leaky_run_masked(enum leaky_masked_kernel kernel, enum leaky_dtype dtype, const char *in, char *out, unsigned char *mask,
                      ptrdiff_t n, double slope);
/* Of contiguous arrays in C order that may be parts of larger ones: dims axes of so many elements; from one element to the
 * next along each of them the index rises by so much; none reaches 2^64. */
void leaky_run_random(enum leaky_random_kernel kernel, enum leaky_dtype dtype, const struct leaky_random *call, int dims,
                      const ptrdiff_t *shape, const uint64_t *strides);
/* dx and, for each weight, the sum of the row prelu_weight_grad, of contiguous arrays.  groups, an odd number of them and 3 at
 * least, are lengths of neighbouring axes: in the first all share their weights, in the second each has its own, and so on.
 * -1 when memory runs out; then no gradient is whole. */
int leaky_run_prelu_backward(enum leaky_dtype dtype, const char *grad, const char *x, const char *weight, char *dx,
                             double *weight_grad, const ptrdiff_t *groups, int count);
int leaky_run_prelu_backward_number(enum leaky_dtype dtype, const char *grad, const char *x, double weight, char *dx,
                                    double *weight_grad, ptrdiff_t n);
/* The same where each of n elements has a weight of its own.  In all three dx may be grad or x. */
void leaky_run_prelu_backward_each(enum leaky_dtype dtype, const char *grad, const char *x, const char *weight, char *dx,
                                   char *weight_grad, ptrdiff_t n);
/* n elements, without a bias where that is NULL; the same of the parameter, whose one channel then takes all elements.  -1 as
 * above. */
int leaky_run_bias_act(enum leaky_activation activation, enum leaky_dtype dtype, const struct leaky_bias_act *call, ptrdiff_t n);
int leaky_run_bias_act_backward(enum leaky_activation activation, enum leaky_dtype dtype, const struct leaky_gradients *call,
                                double *bias_grad);

/* reductions.c: contiguous arrays.  The norm is value * 2^exponent; NaN where x has one.  -1 when memory runs out. */
int leaky_run_norm(enum leaky_norm norm, enum leaky_dtype dtype, const char *x, ptrdiff_t n, double *value, int *exponent);
/* Of an array of outer * channels * inner elements, by channel: adds to counts[t * channels + channel] how many are above
 * thresholds[t] (1 to LEAKY_MOST_THRESHOLDS of them), and to moments their sums and, after these, the sums of their squares.  -1 as above: then nothing is added. */
int leaky_add_units(enum leaky_dtype dtype, const char *x, ptrdiff_t outer, ptrdiff_t channels, ptrdiff_t inner,
                    const double *thresholds, int count, int64_t *counts, double *moments);
/* The same for the bits of a mask. */
void leaky_add_mask(const unsigned char *mask, ptrdiff_t outer, ptrdiff_t channels, ptrdiff_t inner, int64_t *counts);

/* driver.c: the default floating-point environment for whatever a caller computes around its calls: round to nearest, no subnormal
 * flushed, every exception masked.  leaky_leave restores what leaky_enter has saved, flags included.  Pairs may be nested.  A
 * compiler may move arithmetic on local variables out of a pair; what a called function does, or what goes through a volatile
 * variable, stays between them. */
struct leaky_environment {
    uint64_t saved[4];
};
void leaky_enter(struct leaky_environment *caller);
void leaky_leave(const struct leaky_environment *caller);

/* driver.c: run a row in the default floating-point environment and leave the caller's as it was, flags included.
 * leaky_run is itself a kernel whose data is an entry.  leaky_run_number rounds `number` once to the type in which the
 * dtype is computed and passes it as the row's one parameter: args and steps have room for that operand, and what they hold
 * there is ignored.  leaky_run_layout goes through several axes, best with the shortest steps in the first one; there no
 * operand may overlap the output without being it.  All of them share long calls among threads. */
leaky_kernel leaky_run;
int64_t leaky_cost(const struct leaky_entry *entry, ptrdiff_t n); /* nanoseconds on one thread, roughly */
void leaky_round_number(double number, enum leaky_dtype dtype, void *rounded); /* to a double or a float */
double leaky_scale(double number, int exponent);                               /* number * 2^exponent */
double leaky_largest_below(double number, enum leaky_dtype dtype); /* what is no longer below it once it is stored */
void leaky_repeat(char *to, ptrdiff_t count, const char *parameter, ptrdiff_t channels, ptrdiff_t inner, ptrdiff_t size);
void leaky_run_layout(char **args, int dims, const struct leaky_axis *axes, const struct leaky_entry *entry);
void leaky_run_number(char **args, ptrdiff_t n, ptrdiff_t *steps, enum leaky_row row, enum leaky_dtype dtype,
                      double number);

#endif
