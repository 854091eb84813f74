/* Between a call and the kernels of fused.inc: numbers rounded to the type of the lanes, and the threads. */
#include "leaky.h"

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

/* No payload: see v_narrow_bf16. */
static double plain(double number) { return isnan(number) ? (double)NAN : number; }

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
    ptrdiff_t n = 1;
    for (int d = 0; d < dims; d++)
        n *= shape[d];
    while (job.dims > 0 && job.strides[job.dims - 1] == (uint64_t)job.row)
        job.row *= shape[--job.dims];
    leaky_share(random_part, &job, n, n / 2); /* half a nanosecond for an element */
}

/* ---- PReLU's gradients */

struct prelu_job {
    struct leaky_prelu call;
    void (*kernel)(const struct leaky_prelu *call, ptrdiff_t task);
    ptrdiff_t channels, sums, inner; /* of the weights; sums for each column; columns for each channel */
    double *weight_grad;
};

static void prelu_part(const void *context, ptrdiff_t from, ptrdiff_t n)
{
    const struct prelu_job *const job = context;
    for (ptrdiff_t task = from; task < from + n; task++)
        job->kernel(&job->call, task);
}

/* Neumaier's sum: with what its roundings have cut off, and those before. */
static void add(double sum[2], const struct leaky_prelu *call, ptrdiff_t k)
{
    const double term = call->sums[k], total = sum[0] + term;
    sum[1] += (fabs(sum[0]) >= fabs(term) ? sum[0] - total + term : term - total + sum[0]) + call->rests[k];
    sum[0] = total;
}

static double total_of(const double sum[2])
{
    const double total = sum[0] + sum[1];
    return isfinite(total) ? total : sum[0]; /* inf - inf in what was cut off is not the sum's */
}

/* Tasks are rows: a channel's sums are `blocks` in a row, once for each of `outer`. */
static void add_rows(const void *context, ptrdiff_t from, ptrdiff_t n)
{
    const struct prelu_job *const job = context;
    const ptrdiff_t blocks = job->sums;
    for (ptrdiff_t channel = from; channel < from + n; channel++) {
        double sum[2] = {0, 0};
        for (ptrdiff_t outer = 0; outer < job->call.outer; outer++)
            for (ptrdiff_t block = 0; block < blocks; block++)
                add(sum, &job->call, (outer * job->channels + channel) * blocks + block);
        job->weight_grad[channel] = total_of(sum);
    }
}

/* Tasks are columns: a channel has `inner` of them, with a sum each for every group of rows. */
static void add_columns(const void *context, ptrdiff_t from, ptrdiff_t n)
{
    const struct prelu_job *const job = context;
    for (ptrdiff_t channel = from; channel < from + n; channel++) {
        double sum[2] = {0, 0};
        for (ptrdiff_t group = 0; group < job->sums; group++)
            for (ptrdiff_t column = channel * job->inner; column < (channel + 1) * job->inner; column++)
                add(sum, &job->call, group * job->call.channels + column);
        job->weight_grad[channel] = total_of(sum);
    }
}

enum { SHORT_ROW = 256, ROWS = 32, MOST_COLUMNS = 1 << 16 };

static int run_prelu(enum leaky_dtype dtype, const char *grad, const char *x, const char *weight, int number, char *dx,
                     double *weight_grad, ptrdiff_t outer, ptrdiff_t channels, ptrdiff_t inner)
{
    static const size_t sizes[LEAKY_DTYPES] = {2, 2, 4, 8};
    const size_t size = sizes[dtype];
    const ptrdiff_t columns = channels * inner, n = outer * columns;
    const int by_columns = inner < SHORT_ROW && columns > 1 && columns <= MOST_COLUMNS && outer >= 4;
    const int64_t cost = leaky_cost(&leaky_entries[0][LEAKY_leaky_relu_backward][dtype], 2 * n);
    struct prelu_job job = {{grad, x, weight, number, dx, outer, channels, inner, 0, NULL, NULL}, NULL, channels, 0, inner, weight_grad};
    ptrdiff_t tasks, sums;
    char *repeated = NULL;

    if (by_columns) {
        const ptrdiff_t rows = ROWS * 256 / columns;
        job.call.rows = rows > ROWS ? rows : ROWS;
        job.call.channels = columns;
        job.call.inner = 1;
        job.sums = (outer + job.call.rows - 1) / job.call.rows;
        tasks = job.sums * ((columns + LEAKY_PRELU_STRIP - 1) / LEAKY_PRELU_STRIP);
        sums = job.sums * columns;
        if (inner > 1 && (repeated = malloc((size_t)columns * size)))
            for (ptrdiff_t i = 0; i < columns; i++)
                memcpy(repeated + (size_t)i * size, weight + (size_t)(i / inner) * size, size);
        if (inner > 1)
            job.call.weight = repeated;
    } else {
        job.sums = (inner + LEAKY_PRELU_BLOCK - 1) / LEAKY_PRELU_BLOCK;
        tasks = outer * channels * job.sums;
        sums = tasks;
    }
    job.call.sums = calloc((size_t)(2 * sums) + 1, sizeof(double));
    if (!job.call.sums || !job.call.weight) {
        free(job.call.sums);
        free(repeated);
        return -1;
    }
    job.call.rests = job.call.sums + sums;
    job.kernel = leaky_fused_kernels[leaky_isa_in_use()][dtype]->prelu[by_columns];
    leaky_share_tasks(prelu_part, &job, n > 0 ? tasks : 0, cost);
    leaky_share_tasks(by_columns ? add_columns : add_rows, &job, channels, (int64_t)sums * 3);
    free(job.call.sums);
    free(repeated);
    return 0;
}

int leaky_run_prelu_backward(enum leaky_dtype dtype, const char *grad, const char *x, const char *weight, char *dx,
                             double *weight_grad, ptrdiff_t outer, ptrdiff_t channels, ptrdiff_t inner)
{
    return run_prelu(dtype, grad, x, weight, 0, dx, weight_grad, outer, channels, inner);
}

int leaky_run_prelu_backward_number(enum leaky_dtype dtype, const char *grad, const char *x, double weight, char *dx,
                                    double *weight_grad, ptrdiff_t n)
{
    double rounded;
    leaky_round_number(weight, dtype, &rounded);
    return run_prelu(dtype, grad, x, (const char *)&rounded, 1, dx, weight_grad, 1, 1, n);
}
