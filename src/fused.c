/* Between a call and the kernels of fused.inc: numbers rounded to the type of the lanes, and the threads. */
#include "leaky.h"
#include "sums.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct masked_job {
    struct leaky_masked call;
    void (*kernel)(const struct leaky_masked *call, ptrdiff_t from, ptrdiff_t n);
};

static void masked_part(const void *context, ptrdiff_t from, ptrdiff_t n)
{
    const struct masked_job *const job = context;
    job->kernel(&job->call, from, n);
}

/* The bits without the sign, which are in the order of the magnitudes.  Comparing them raises no flag in the caller's
 * floating-point environment, as comparing a subnormal number or a signalling NaN does. */
static uint64_t magnitude(double number)
{
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    return bits << 1;
}
#define INFINITE ((uint64_t)0x7ff << 53)

/* No payload: see v_narrow_bf16. */
static double plain(double number) { return magnitude(number) > INFINITE ? (double)NAN : number; }

void leaky_run_masked(enum leaky_masked_kernel kernel, enum leaky_dtype dtype, const char *in, char *out, unsigned char *mask,
                      ptrdiff_t n, double slope)
{
    const struct masked_job job = {{in, out, mask, plain(slope), in != out && leaky_is_large(dtype, n)},
                                   leaky_fused_kernels[leaky_isa_in_use()][dtype]->masked[kernel]};
    leaky_share(masked_part, &job, n, leaky_cost(&leaky_entries[1][LEAKY_leaky_relu][dtype], n));
}

struct random_job {
    const struct leaky_random *call;
    void (*kernel)(const struct leaky_random *call, ptrdiff_t from, ptrdiff_t n);
    int dims; /* outside of the rows whose elements are numbered one after another */
    ptrdiff_t row;
    const ptrdiff_t *shape;
    const uint64_t *strides;
};

static void random_part(const void *context, ptrdiff_t from, ptrdiff_t n)
{
    const struct random_job *const job = context;
    struct leaky_random call = *job->call;
    for (ptrdiff_t done = from, count; done < from + n; done += count) {
        const ptrdiff_t inside = done % job->row, left = job->row - inside;
        ptrdiff_t rest = done / job->row;
        uint64_t start = job->call->start;
        for (int d = job->dims; d-- > 0; rest /= job->shape[d])
            start += (uint64_t)(rest % job->shape[d]) * job->strides[d];
        count = left < from + n - done ? left : from + n - done;
        call.start = start + (uint64_t)inside - (uint64_t)done; /* the kernel adds what it starts from */
        job->kernel(&call, done, count);
    }
}

void leaky_run_random(enum leaky_random_kernel kernel, enum leaky_dtype dtype, const struct leaky_random *call, int dims,
                      const ptrdiff_t *shape, const uint64_t *strides)
{
    struct random_job job = {call, leaky_fused_kernels[leaky_isa_in_use()][dtype]->random[kernel], dims, 1, shape, strides};
    const ptrdiff_t n = leaky_elements(shape, dims, 1);
    if (n == 0)
        return;
    while (job.dims > 0 && job.strides[job.dims - 1] == (uint64_t)job.row)
        job.row *= shape[--job.dims];
    leaky_share(random_part, &job, n, n / 2); /* half a nanosecond for an element */
}

/* ---- gradients with sums */

struct gradients_job {
    struct leaky_gradients call;
    leaky_gradients_kernel *kernel;
    ptrdiff_t channels, sums, inner; /* of the parameter; sums for each column; columns for each channel */
    double *totals, *carried; /* carried: what totals have lost in the calls before, to be added to; or NULL */
};

static void gradients_part(const void *context, ptrdiff_t from, ptrdiff_t n)
{
    const struct gradients_job *const job = context;
    for (ptrdiff_t task = from; task < from + n; task++)
        job->kernel(&job->call, task);
}

static void begin(double sum[2], const struct gradients_job *job, ptrdiff_t channel)
{
    sum[0] = job->carried ? job->totals[channel] : 0;
    sum[1] = job->carried ? job->carried[channel] : 0;
}

static void end(const double sum[2], const struct gradients_job *job, ptrdiff_t channel)
{
    job->totals[channel] = job->carried ? sum[0] : leaky_total(sum[0], sum[1]);
    if (job->carried)
        job->carried[channel] = sum[1];
}

/* Tasks are rows: a channel's sums are `blocks` in a row, once for each of `outer`. */
static void add_rows(const void *context, ptrdiff_t from, ptrdiff_t n)
{
    const struct gradients_job *const job = context;
    const ptrdiff_t blocks = job->sums;
    for (ptrdiff_t channel = from; channel < from + n; channel++) {
        double sum[2];
        begin(sum, job, channel);
        for (ptrdiff_t outer = 0; outer < job->call.outer; outer++)
            for (ptrdiff_t block = 0; block < blocks; block++) {
                const ptrdiff_t k = (outer * job->channels + channel) * blocks + block;
                leaky_add(sum, job->call.sums[k], job->call.rests[k]);
            }
        end(sum, job, channel);
    }
}

/* Tasks are columns: a channel has `inner` of them, with a sum each for every group of rows. */
static void add_columns(const void *context, ptrdiff_t from, ptrdiff_t n)
{
    const struct gradients_job *const job = context;
    for (ptrdiff_t channel = from; channel < from + n; channel++) {
        double sum[2];
        begin(sum, job, channel);
        for (ptrdiff_t group = 0; group < job->sums; group++)
            for (ptrdiff_t column = channel * job->inner; column < (channel + 1) * job->inner; column++) {
                const ptrdiff_t k = group * job->call.channels + column;
                leaky_add(sum, job->call.sums[k], job->call.rests[k]);
            }
        end(sum, job, channel);
    }
}

/* kernels[1] where rows are so short that each column is given its own copy of the parameter.  The row is one that costs half as
 * much per element. */
static int run_gradients(leaky_gradients_kernel *const kernels[2], enum leaky_row row, enum leaky_dtype dtype,
                         const struct leaky_gradients *call, double *totals, double *carried)
{
    const ptrdiff_t outer = call->outer, channels = call->channels, inner = call->inner;
    if (outer == 0 || channels == 0 || inner == 0) {
        for (ptrdiff_t channel = 0; channel < channels && !carried; channel++)
            totals[channel] = 0;
        return 0;
    }
    const ptrdiff_t columns = channels * inner;
    const int by_columns = leaky_sums_by_columns(inner, columns) && outer >= 4;
    struct gradients_job job = {*call, kernels[by_columns], channels, 0, inner, totals, carried};
    ptrdiff_t tasks, sums;
    char *repeated = NULL;

    if (by_columns) {
        job.call.rows = leaky_rows_in_group(columns);
        job.call.channels = columns;
        job.call.inner = 1;
        job.sums = (outer + job.call.rows - 1) / job.call.rows;
        tasks = job.sums * ((columns + LEAKY_GRADIENTS_STRIP - 1) / LEAKY_GRADIENTS_STRIP);
        sums = job.sums * columns;
        if (inner > 1 && (repeated = malloc((size_t)(columns * leaky_sizes[dtype]))))
            leaky_repeat(repeated, columns, call->parameter, channels, inner, leaky_sizes[dtype]);
        if (inner > 1)
            job.call.parameter = repeated;
    } else {
        job.sums = (inner + LEAKY_GRADIENTS_BLOCK - 1) / LEAKY_GRADIENTS_BLOCK;
        tasks = outer * channels * job.sums;
        sums = tasks;
    }
    job.call.sums = calloc((size_t)(2 * sums) + 1, sizeof(double));
    if (!job.call.sums || !job.call.parameter) {
        free(job.call.sums);
        free(repeated);
        return -1;
    }
    job.call.rests = job.call.sums + sums;
    leaky_share_tasks(gradients_part, &job, tasks, leaky_cost(&leaky_entries[0][row][dtype], 2 * outer * columns));
    leaky_share_tasks(by_columns ? add_columns : add_rows, &job, channels, (int64_t)sums * 3);
    free(job.call.sums);
    free(repeated);
    return 0;
}

static int run_prelu(enum leaky_dtype dtype, const struct leaky_gradients *call, double *weight_grad, double *carried)
{
    return run_gradients(leaky_fused_kernels[leaky_isa_in_use()][dtype]->prelu, LEAKY_leaky_relu_backward, dtype, call,
                         weight_grad, carried);
}

struct totals {
    double *sums;
    const double *carried;
};

static void finish_totals(const void *context, ptrdiff_t from, ptrdiff_t n)
{
    const struct totals *const totals = context;
    for (ptrdiff_t k = from; k < from + n; k++)
        totals->sums[k] = leaky_total(totals->sums[k], totals->carried[k]);
}

/* The last three groups are a call, and those before them say how often and with which weights. */
int leaky_run_prelu_backward(enum leaky_dtype dtype, const char *grad, const char *x, const char *weight, char *dx,
                             double *weight_grad, const ptrdiff_t *groups, int count)
{
    const ptrdiff_t outer = groups[count - 3], channels = groups[count - 2], inner = groups[count - 1];
    const ptrdiff_t n = leaky_elements(groups, count, 1), weights = leaky_elements(groups + 1, count - 1, 2);
    double *carried = NULL;
    int status = 0;

    if (n == 0) {
        for (ptrdiff_t k = 0; k < weights; k++)
            weight_grad[k] = 0;
        return 0;
    }
    const ptrdiff_t size = leaky_sizes[dtype], step = outer * channels * inner * size, calls = leaky_elements(groups, count - 3, 1);
    if (count > 3) {
        carried = calloc((size_t)weights + 1, sizeof *carried);
        if (!carried)
            return -1;
        memset(weight_grad, 0, (size_t)weights * sizeof *weight_grad);
    }
    for (ptrdiff_t place = 0; place < calls && !status; place++) {
        ptrdiff_t first = 0, rest = place;
        for (ptrdiff_t d = count - 4, scale = channels; d >= 0; rest /= groups[d--])
            if (d % 2) {
                first += rest % groups[d] * scale;
                scale *= groups[d];
            }
        const struct leaky_gradients call = {
            .grad = grad + place * step, .x = x + place * step, .parameter = weight + first * size, .dx = dx + place * step,
            .outer = outer, .channels = channels, .inner = inner};
        status = run_prelu(dtype, &call, weight_grad + first, carried ? carried + first : NULL);
    }
    const struct totals totals = {weight_grad, carried};
    if (carried)
        leaky_share_tasks(finish_totals, &totals, weights, weights);
    free(carried);
    return status;
}

int leaky_run_prelu_backward_number(enum leaky_dtype dtype, const char *grad, const char *x, double weight, char *dx,
                                    double *weight_grad, ptrdiff_t n)
{
    double rounded;
    leaky_round_number(weight, dtype, &rounded);
    const struct leaky_gradients call = {
        .grad = grad, .x = x, .parameter = (char *)&rounded, .number = 1, .dx = dx, .outer = 1, .channels = 1, .inner = n};
    return run_prelu(dtype, &call, weight_grad, NULL);
}

struct each_job {
    leaky_kernel *kernels[2]; /* of dx and of the weight's gradient */
    const char *grad, *x, *weight;
    char *dx, *weight_grad;
    ptrdiff_t size;
};

/* Both rows for so few elements at a time that the second finds grad and x in the first-level cache; dx is the second, since
 * it may be grad or x. */
static void each_part(const void *context, ptrdiff_t from, ptrdiff_t n)
{
    enum { BLOCK = 1024 };
    const struct each_job *const job = context;
    const ptrdiff_t size = job->size, steps[4] = {size, size, size, size};
    for (ptrdiff_t done = 0, count; done < n; done += count) {
        const ptrdiff_t at = (from + done) * size;
        char *args[4] = {(char *)job->grad + at, (char *)job->x + at, job->weight_grad + at, job->dx + at};
        count = n - done < BLOCK ? n - done : BLOCK;
        job->kernels[1](args, &count, steps, NULL);
        args[2] = (char *)job->weight + at;
        job->kernels[0](args, &count, steps, NULL);
    }
}

void leaky_run_prelu_backward_each(enum leaky_dtype dtype, const char *grad, const char *x, const char *weight, char *dx,
                                   char *weight_grad, ptrdiff_t n)
{
    const struct leaky_entry *const entries[2] = {&leaky_entries[0][LEAKY_leaky_relu_backward][dtype],
                                                  &leaky_entries[0][LEAKY_prelu_weight_grad][dtype]};
    const struct each_job job = {{leaky_kernel_in_use(entries[0]), leaky_kernel_in_use(entries[1])}, grad, x, weight, dx,
                                 weight_grad, leaky_sizes[dtype]};
    leaky_share(each_part, &job, n, leaky_cost(entries[0], 2 * n));
}

/* ---- bias + activation */

/* Nothing, as a bias: -0.0 plus any number is that number, its sign included. */
static const char *no_bias(enum leaky_dtype dtype)
{
    static const uint16_t half = 0x8000;
    static const float single = -0.0f;
    static const double wide = -0.0;
    return dtype == LEAKY_F64 ? (const char *)&wide : dtype == LEAKY_F32 ? (const char *)&single : (const char *)&half;
}

static double slope_of(enum leaky_activation activation, double slope)
{
    return activation == LEAKY_LINEAR || activation == LEAKY_ELU ? 1 : plain(slope);
}

static enum leaky_row row_of(enum leaky_activation activation) /* that costs as much */
{
    return activation < LEAKY_ELU ? LEAKY_leaky_relu_backward : LEAKY_elu_backward;
}

struct bias_act_job {
    struct leaky_bias_act call;
    void (*kernel)(const struct leaky_bias_act *call, ptrdiff_t from, ptrdiff_t n);
};

static void bias_act_part(const void *context, ptrdiff_t from, ptrdiff_t n)
{
    const struct bias_act_job *const job = context;
    job->kernel(&job->call, from, n);
}

/* Biases that change after fewer elements than these are repeated, one for each element of so many or more. */
enum { FEW = 16, TILE = 2048 };

int leaky_run_bias_act(enum leaky_activation activation, enum leaky_dtype dtype, const struct leaky_bias_act *call, ptrdiff_t n)
{
    struct bias_act_job job = {*call, leaky_fused_kernels[leaky_isa_in_use()][dtype]->bias_act[activation]};
    char *repeated = NULL;
    if (n <= 0)
        return 0;
    const ptrdiff_t period = call->channels * call->inner;
    job.call.slope = slope_of(activation, call->slope);
    job.call.stream = call->x != call->y && leaky_is_large(dtype, n);
    if (!call->bias) {
        job.call.bias = no_bias(dtype);
        job.call.channels = 1;
        job.call.inner = n;
    } else if (call->inner < FEW && (call->inner > 1 || period < TILE)) {
        job.call.channels = period < TILE ? TILE / period * period : period;
        job.call.inner = 1;
        repeated = malloc((size_t)(job.call.channels * leaky_sizes[dtype]));
        if (!repeated)
            return -1;
        leaky_repeat(repeated, job.call.channels, call->bias, call->channels, call->inner, leaky_sizes[dtype]);
        job.call.bias = repeated;
    }
    leaky_share(bias_act_part, &job, n, leaky_cost(&leaky_entries[0][row_of(activation)][dtype], n));
    free(repeated);
    return 0;
}

int leaky_run_bias_act_backward(enum leaky_activation activation, enum leaky_dtype dtype, const struct leaky_gradients *call,
                                double *bias_grad)
{
    struct leaky_gradients exact = *call;
    exact.slope = slope_of(activation, call->slope);
    exact.clamps = magnitude(call->clamp) < INFINITE;
    exact.clamp = exact.clamps ? leaky_largest_below(call->clamp, dtype) : 0;
    if (!call->parameter) {
        exact.parameter = no_bias(dtype);
        exact.inner = leaky_elements((const ptrdiff_t[]){call->outer, call->channels, call->inner}, 3, 1);
        exact.outer = exact.channels = 1;
    }
    return run_gradients(leaky_fused_kernels[leaky_isa_in_use()][dtype]->bias_gradients[activation], row_of(activation), dtype,
                         &exact, bias_grad, NULL);
}
