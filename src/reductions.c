/* Between a call and the kernels of reductions.inc: blocks, threads, and the sums of the blocks. */
#include "leaky.h"
#include "sums.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int64_t cost_of(enum leaky_dtype dtype, ptrdiff_t n) { return leaky_cost(&leaky_entries[0][LEAKY_relu][dtype], n); }

/* ---- norms */

struct norm_job {
    enum leaky_norm norm;
    const char *x;
    ptrdiff_t n, size;
    struct leaky_norm_part (*kernel)(enum leaky_norm norm, const char *x, ptrdiff_t n);
    struct leaky_norm_part *parts;
    ptrdiff_t blocks;
    double *value;
    int *exponent;
};

static void norm_blocks(const void *context, ptrdiff_t from, ptrdiff_t n)
{
    const struct norm_job *const job = context;
    for (ptrdiff_t block = from; block < from + n; block++) {
        const ptrdiff_t start = block * LEAKY_NORM_BLOCK, left = job->n - start;
        job->parts[block] = job->kernel(job->norm, job->x + start * job->size, left < LEAKY_NORM_BLOCK ? left : LEAKY_NORM_BLOCK);
    }
}

/* Of the three ranges the highest that has anything, with what the one below it adds. */
static double norm_of(enum leaky_norm norm, const struct leaky_norm_part *parts, ptrdiff_t blocks, int *exponent)
{
    const int power = norm == LEAKY_NORM_2 ? 2 : 1;
    double sums[3][2] = {{0}}, largest = 0;
    int range = -1;

    *exponent = 0;
    if (norm == LEAKY_NORM_MAX) {
        for (ptrdiff_t block = 0; block < blocks && !isnan(largest); block++)
            if (isnan(parts[block].value) || parts[block].value > largest)
                largest = parts[block].value;
        return largest;
    }
    for (ptrdiff_t block = 0; block < blocks; block++) {
        leaky_add(sums[parts[block].range + 1], parts[block].value, 0);
        if (parts[block].value != 0 && parts[block].range > range)
            range = parts[block].range;
    }
    double sum = leaky_total(sums[range + 1][0], sums[range + 1][1]);
    if (range >= 0)
        sum += leaky_total(sums[range][0], sums[range][1]) * pow(LEAKY_NORM_SCALE, -power);
    if (range > 0)
        *exponent = LEAKY_NORM_EXPONENT;
    return (norm == LEAKY_NORM_2 ? sqrt(sum) : sum) * (range < 0 && norm == LEAKY_NORM_2 ? 1 / LEAKY_NORM_SCALE : 1);
}

/* One task: what is done here is done in the default floating-point environment. */
static void finish_norm(const void *context, ptrdiff_t from, ptrdiff_t n)
{
    const struct norm_job *const job = context;
    (void)from, (void)n;
    *job->value = norm_of(job->norm, job->parts, job->blocks, job->exponent);
}

int leaky_run_norm(enum leaky_norm norm, enum leaky_dtype dtype, const char *x, ptrdiff_t n, double *value, int *exponent)
{
    enum { FEW = 16 };
    struct leaky_norm_part few[FEW];
    const ptrdiff_t blocks = (n + LEAKY_NORM_BLOCK - 1) / LEAKY_NORM_BLOCK;
    struct norm_job job = {norm, x, n, leaky_sizes[dtype], leaky_reduction_kernels[leaky_isa_in_use()][dtype]->norm, few,
                           blocks, value, exponent};

    if (blocks > FEW && !(job.parts = malloc((size_t)blocks * sizeof *job.parts)))
        return -1;
    leaky_share_tasks(norm_blocks, &job, blocks, cost_of(dtype, n));
    leaky_share_tasks(finish_norm, &job, 1, blocks);
    if (job.parts != few)
        free(job.parts);
    return 0;
}

/* ---- units */

struct units_job {
    struct leaky_units call;
    void (*kernel)(const struct leaky_units *call, ptrdiff_t task);
    ptrdiff_t channels, blocks, inner; /* blocks of each row, or groups of rows; columns for each channel, or 0 */
    int64_t *counts;
    double *moments;
};

static void count_units(const void *context, ptrdiff_t from, ptrdiff_t n)
{
    const struct units_job *const job = context;
    for (ptrdiff_t task = from; task < from + n; task++)
        job->kernel(&job->call, task);
}

/* The results of the tasks, channel by channel, added to what there was. */
static void add_channels(const void *context, ptrdiff_t from, ptrdiff_t n)
{
    const struct units_job *const job = context;
    const ptrdiff_t channels = job->channels, rows = job->inner ? job->blocks : job->call.outer;
    const ptrdiff_t columns = job->inner ? job->inner : job->blocks;
    for (int s = 0; s < job->call.count + 2; s++)
        for (ptrdiff_t channel = from; channel < from + n; channel++) {
            const double *const results = job->call.results + s * job->call.slots + channel * columns;
            double *const moment = s < job->call.count ? NULL : &job->moments[(s - job->call.count) * channels + channel];
            double sum[2] = {moment ? *moment : 0, 0};
            for (ptrdiff_t row = 0; row < rows; row++)
                for (ptrdiff_t column = 0; column < columns; column++)
                    leaky_add(sum, results[row * channels * columns + column], 0);
            if (moment)
                *moment = leaky_total(sum[0], sum[1]);
            else
                job->counts[s * channels + channel] += (int64_t)sum[0];
        }
}

int leaky_add_units(enum leaky_dtype dtype, const char *x, ptrdiff_t outer, ptrdiff_t channels, ptrdiff_t inner,
                    const double *thresholds, int count, int64_t *counts, double *moments)
{
    const ptrdiff_t n = leaky_elements((const ptrdiff_t[]){outer, channels, inner}, 3, 1);
    if (n == 0)
        return 0;
    const ptrdiff_t columns = channels * inner;
    const int by_columns = leaky_sums_by_columns(inner, columns);
    struct units_job job = {.call = {.x = x, .outer = outer, .channels = channels, .inner = inner, .thresholds = thresholds,
                                     .count = count},
                            .kernel = leaky_reduction_kernels[leaky_isa_in_use()][dtype]->count_units,
                            .channels = channels, .inner = by_columns ? inner : 0, .counts = counts, .moments = moments};
    ptrdiff_t tasks;

    if (by_columns) {
        job.call.rows = leaky_rows_in_group(columns);
        job.call.channels = columns;
        job.call.inner = 1;
        job.blocks = (outer + job.call.rows - 1) / job.call.rows;
        tasks = job.blocks * ((columns + LEAKY_GRADIENTS_STRIP - 1) / LEAKY_GRADIENTS_STRIP);
        job.call.slots = job.blocks * columns;
    } else {
        job.blocks = (inner + LEAKY_GRADIENTS_BLOCK - 1) / LEAKY_GRADIENTS_BLOCK;
        tasks = job.call.slots = outer * channels * job.blocks;
    }
    job.call.results = malloc((size_t)(job.call.slots * (count + 2)) * sizeof(double));
    if (!job.call.results)
        return -1;
    leaky_share_tasks(count_units, &job, tasks, 3 * cost_of(dtype, n));
    leaky_share_tasks(add_channels, &job, channels, job.call.slots * (count + 2) * 3);
    free(job.call.results);
    return 0;
}

/* ---- the bits of a mask */

static ptrdiff_t bits_between(const unsigned char *mask, ptrdiff_t from, ptrdiff_t n)
{
    ptrdiff_t bits = 0;
    for (ptrdiff_t done = 0, count; done < n; done += count) {
        const ptrdiff_t at = from + done;
        count = 8 - at % 8 < n - done ? 8 - at % 8 : n - done;
        unsigned byte = (unsigned)mask[at / 8] >> at % 8 & ((1u << count) - 1);
        for (; byte; byte &= byte - 1)
            bits++;
        while (done + count + 64 <= n) { /* whole words, which count their bits in parallel */
            uint64_t word;
            memcpy(&word, mask + (from + done + count) / 8, sizeof word);
            word -= word >> 1 & 0x5555555555555555;
            word = (word & 0x3333333333333333) + (word >> 2 & 0x3333333333333333);
            bits += (ptrdiff_t)(((word + (word >> 4)) & 0x0f0f0f0f0f0f0f0f) * 0x0101010101010101 >> 56);
            count += 64;
        }
    }
    return bits;
}

/* Rows of whole bytes: a byte spread over eight, one for each bit, so that one addition counts eight units. */
static void add_bytes(const unsigned char *mask, ptrdiff_t outer, ptrdiff_t bytes, int64_t *counts)
{
    for (ptrdiff_t byte = 0; byte < bytes; byte++)
        for (ptrdiff_t row = 0; row < outer;) {
            const ptrdiff_t end = outer - row < 255 ? outer : row + 255;
            uint64_t sums = 0;
            for (; row < end; row++) {
                const uint64_t bits = mask[row * bytes + byte];
                sums += ((bits & 0x7f) * 0x0002040810204081 & 0x0101010101010101) + (bits >> 7 << 56);
            }
            for (int k = 0; k < 8; k++)
                counts[8 * byte + k] += sums >> 8 * k & 0xff;
        }
}

void leaky_add_mask(const unsigned char *mask, ptrdiff_t outer, ptrdiff_t channels, ptrdiff_t inner, int64_t *counts)
{
    if (outer == 0 || channels == 0 || inner == 0)
        return;
    if (inner == 1 && channels % 8 == 0) {
        add_bytes(mask, outer, channels / 8, counts);
        return;
    }
    for (ptrdiff_t row = 0, at = 0; row < outer; row++)
        for (ptrdiff_t channel = 0; channel < channels; channel++, at += inner)
            counts[channel] += bits_between(mask, at, inner);
}
