/* Between a call and the kernels of fused.inc: numbers rounded to the type of the lanes, and the threads. */
#include "leaky.h"

#include <math.h>

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
