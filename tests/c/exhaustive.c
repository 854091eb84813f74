/* How exact the float32 exponentials are, over every float32 there is: `exhaustive`, or `exhaustive sweep` and
 * `exhaustive isas` for either half.  `exhaustive sample 101 -1 0.1 3` takes every 101st float and the alphas named.
 * The judge is long double.  A result that it puts too close to the middle of two floats counts as doubtful and not as
 * misrounded; for alpha = 1, where these are few, each is printed for tests/c/decide.py.  With other alphas, such as 1.5,
 * alpha * x is near the middle for every other tiny x.  The status is 1 where a promise is broken.  To add a function, add a line to `jobs`. */
#include "../../src/leaky.h"

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#if LDBL_MANT_DIG < 64
#error "the judge needs a long double of 64 bits or more"
#endif

#define EVERY ((uint64_t)1 << 32)
#define CHUNK 65536
#define WORKERS 256
#define DOUBTFUL 64 /* kept per worker */
#define OPERANDS 6

enum formula { EXPM1, EXP, BITS_ONLY };

/* A row and what it computes left of 0: c * expm1(x / d) or grad * c * exp(x / d), and right of 0: scale * x or scale * grad.
 * The operand named x or output is swept, gg and grad are 1. */
static const struct job {
    const char *row;
    enum formula formula;
    int c_is_alpha, d_is_alpha;
    double c, scale;
} jobs[] = {
    {"elu", EXPM1, 1, 0, 0, 1},
    {"elu_backward", EXP, 1, 0, 0, 1},
    {"elu_double_backward", BITS_ONLY, 0, 0, 0, 0},
    {"elu_backward_from_output", BITS_ONLY, 0, 0, 0, 0},
    {"celu", EXPM1, 1, 1, 0, 1},
    {"celu_backward", EXP, 0, 1, 1, 1},
    {"celu_double_backward", BITS_ONLY, 0, 0, 0, 0},
    {"celu_backward_from_output", BITS_ONLY, 0, 0, 0, 0},
    /* Klambauer 2017: scale * alpha = 1.7580993408473768599... and scale = 1.0507009873554804934..., rounded to double */
    {"selu", EXPM1, 0, 0, 1.7580993408473768599, 1.0507009873554804934},
    {"selu_backward", EXP, 0, 0, 1.7580993408473768599, 1.0507009873554804934},
    {"selu_double_backward", BITS_ONLY, 0, 0, 0, 0},
    {"selu_backward_from_output", BITS_ONLY, 0, 0, 0, 0},
};
#define JOBS (sizeof jobs / sizeof *jobs)

struct doubt {
    float x, y;
};

struct found {
    double worst; /* ULP */
    float worst_x;
    uint64_t judged, misrounded, doubtful, different;
    float first_different;
    struct doubt doubts[DOUBTFUL];
};

static struct found *found; /* one per worker, shared with the parent */

static uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static float from_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* ---- the judge
 *
 * glibc's manual bounds expm1l and expl on x86-64 by 3 ULP, 2^-61.4; the shortcuts are below that:
 * |z| < 2^-20: expm1(z) = z (1 + z/2 (1 + z/3)) leaves out z^3/24 < 2^-64.5 of it, and exp(z) = 1 + that;
 * z < -45: expm1(z) = -1 is off by 2^-64.9; z < -300: c exp(z) < |c| 2^-432, which 0 stands for, rounds to 0 for any float c. */
static long double small_expm1(long double z) { return z * (1 + z / 2 * (1 + z / 3)); }

static long double exact_expm1(long double z)
{
    return z < -45 ? -1 : fabsl(z) < 0x1p-20L ? small_expm1(z) : expm1l(z);
}

static long double exact_exp(long double z)
{
    return z < -300 ? 0 : fabsl(z) < 0x1p-20L ? 1 + small_expm1(z) : expl(z);
}

static long double exact(const struct job *job, long double x, float alpha)
{
    const long double c = job->c_is_alpha ? (long double)alpha : job->c, d = job->d_is_alpha ? alpha : 1.0f;
    if (x > 0)
        return job->formula == EXPM1 ? (long double)job->scale * x : (long double)job->scale;
    return c * (job->formula == EXPM1 ? exact_expm1(x / d) : exact_exp(x / d));
}

/* The relative distance within which the judge may err: x / alpha is rounded for an alpha other than 1, and up to 150 is as
 * many times worse in the exponential. */
static long double judges_error(float alpha) { return alpha == 1 ? 0x1p-60L : 0x1p-55L; }

static void judge(const struct job *job, struct found *f, float alpha, const float *x, const float *y, ptrdiff_t n)
{
    for (ptrdiff_t i = 0; i < n; i++) {
        if (isnan(x[i])) {
            f->misrounded += !isnan(y[i]);
            continue;
        }
        const long double value = exact(job, x[i], alpha);
        const float rounded = (float)value;
        f->judged++;
        if (isinf(rounded) || isinf(y[i])) {
            if (bits_of(rounded) != bits_of(y[i])) {
                f->misrounded++;
                f->worst = INFINITY;
                f->worst_x = x[i];
            }
            continue;
        }
        int exponent;
        frexpl(value, &exponent);
        exponent = (exponent < -125 ? -125 : exponent) - FLT_MANT_DIG; /* of the last place */
        const double error = (double)ldexpl(fabsl((long double)y[i] - value), -exponent);
        if (error > f->worst || isnan(error)) {
            f->worst = error;
            f->worst_x = x[i];
        }
        const long double band = value * judges_error(alpha);
        if (error > 0.4999 && (float)(value - band) != (float)(value + band) &&
            (y[i] == (float)(value - band) || y[i] == (float)(value + band))) {
            if (f->doubtful < DOUBTFUL)
                f->doubts[f->doubtful] = (struct doubt){x[i], y[i]};
            f->doubtful++;
        } else if (bits_of(rounded) != bits_of(y[i]))
            f->misrounded++;
    }
}

/* ---- running a row */
static int row_named(const char *name)
{
    for (int row = 0; row < LEAKY_ROWS; row++)
        if (!strcmp(leaky_rows[row].name, name))
            return row;
    fprintf(stderr, "the table has no row %s\n", name);
    exit(1);
}

static void use(const char *isa)
{
    if (leaky_use_isa(isa))
        fprintf(stderr, "ISA %s is not supported here\n", isa), exit(1);
}

static void run(int row, float alpha, const float *x, const float *ones, float *y, ptrdiff_t n)
{
    const struct leaky_row_info *const info = &leaky_rows[row];
    const struct leaky_entry *const entry = &leaky_entries[row][LEAKY_F32];
    const int arrays = info->inputs - info->parameters;
    char *args[OPERANDS] = {0};
    ptrdiff_t steps[OPERANDS] = {0};

    /* The swept operand is the last one that is an array. */
    for (int k = 0; k < arrays; k++) {
        args[k] = (char *)(k == arrays - 1 ? x : ones);
        steps[k] = sizeof *x;
    }
    args[info->inputs] = (char *)y;
    steps[info->inputs] = sizeof *y;
    if (info->parameters)
        leaky_run_number(args, n, steps, entry, alpha);
    else
        leaky_run(args, &n, steps, (void *)entry);
}

struct span {
    const struct job *job;
    float alpha;
    uint64_t step;
    const char *isa; /* to hold against the scalar ISA; NULL: the judge */
};

static void work(const struct span *span, struct found *f, int worker, int workers)
{
    static float x[CHUNK], ones[CHUNK], y[CHUNK], other[CHUNK];
    const int row = row_named(span->job->row);
    const uint64_t chunk = CHUNK * span->step;

    for (int i = 0; i < CHUNK; i++)
        ones[i] = 1;
    for (uint64_t start = (uint64_t)worker * chunk; start < EVERY; start += (uint64_t)workers * chunk) {
        ptrdiff_t n = 0;
        for (uint64_t bits = start; n < CHUNK && bits < EVERY; bits += span->step)
            x[n++] = from_bits((uint32_t)bits);
        if (!span->isa) {
            run(row, span->alpha, x, ones, y, n);
            judge(span->job, f, span->alpha, x, y, n);
            continue;
        }
        use("scalar");
        run(row, span->alpha, x, ones, y, n);
        use(span->isa);
        run(row, span->alpha, x, ones, other, n);
        for (ptrdiff_t i = 0; i < n; i++)
            if (bits_of(y[i]) != bits_of(other[i]) && !(isnan(y[i]) && isnan(other[i])) && !f->different++)
                f->first_different = x[i];
    }
}

/* What all workers together found; its `doubts` are printed, not kept. */
static struct found search(struct span span)
{
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    const int workers = processors < 1 ? 1 : processors > WORKERS ? WORKERS : (int)processors;
    struct found all = {0};
    int failed = 0;

    memset(found, 0, WORKERS * sizeof *found);
    fflush(stdout);
    for (int worker = 0; worker < workers; worker++) {
        const pid_t child = fork();
        if (child < 0)
            perror("fork"), exit(1);
        if (!child) {
            work(&span, &found[worker], worker, workers);
            _exit(0);
        }
    }
    for (int worker = 0, status; worker < workers; worker++)
        failed |= wait(&status) < 0 || status;
    if (failed)
        fprintf(stderr, "a worker failed\n"), exit(1);
    for (const struct found *f = found; f < found + workers; f++) {
        if (f->worst > all.worst || isnan(f->worst)) {
            all.worst = f->worst;
            all.worst_x = f->worst_x;
        }
        if (f->different && !all.different)
            all.first_different = f->first_different;
        all.judged += f->judged;
        all.misrounded += f->misrounded;
        all.doubtful += f->doubtful;
        all.different += f->different;
    }
    return all;
}

static void print_doubts(const struct job *job)
{
    for (const struct found *f = found; f < found + WORKERS; f++) {
        for (uint64_t i = 0; i < f->doubtful && i < DOUBTFUL; i++)
            printf("doubtful %s 0x1p+0 %a %a\n", job->row, (double)f->doubts[i].x, (double)f->doubts[i].y);
        if (f->doubtful > DOUBTFUL)
            printf("and %llu more\n", (unsigned long long)(f->doubtful - DOUBTFUL));
    }
}

static int sweep(uint64_t step, const float *alphas, int count)
{
    int wrong = 0;

    printf("%-16s%-9s%8s%12s%14s%17s%12s%10s\n", "function", "dtype", "alpha", "inputs", "maximum ULP", "at x", "misrounded",
           "doubtful");
    for (size_t k = 0; k < JOBS; k++)
        for (int a = 0; a < count && jobs[k].formula != BITS_ONLY; a++) {
            const int has_alpha = leaky_rows[row_named(jobs[k].row)].parameters;
            const struct found all = search((struct span){&jobs[k], has_alpha ? alphas[a] : 1, step, NULL});
            char alpha[16] = "-";
            if (has_alpha)
                snprintf(alpha, sizeof alpha, "%g", (double)alphas[a]);
            printf("%-16s%-9s%8s%12llu%14.9f%17.9g%12llu%10llu\n", jobs[k].row, "float32", alpha,
                   (unsigned long long)all.judged, all.worst, (double)all.worst_x, (unsigned long long)all.misrounded,
                   (unsigned long long)all.doubtful);
            wrong |= !(all.worst <= 0.501);
            if (!has_alpha || alphas[a] == 1) {
                print_doubts(&jobs[k]);
                /* promised for ELU with alpha = 1 and for SELU */
                wrong |= jobs[k].formula == EXPM1 && !jobs[k].d_is_alpha && all.misrounded > 0;
            }
            if (!has_alpha)
                break;
        }
    return wrong;
}

static int compare_isas(void)
{
    int wrong = 0;

    printf("%-28s%-9s%-9s%s\n", "function", "dtype", "ISA", "inputs whose bits differ from the scalar ISA's");
    for (size_t k = 0; k < JOBS; k++)
        for (int isa = 0; isa < LEAKY_ISAS; isa++) {
            if (isa == LEAKY_SCALAR || !leaky_isa_supported((enum leaky_isa)isa))
                continue;
            const struct found all = search((struct span){&jobs[k], 1, 1, leaky_isa_names[isa]});
            printf("%-28s%-9s%-9s%llu", jobs[k].row, "float32", leaky_isa_names[isa], (unsigned long long)all.different);
            if (all.different)
                printf(", the first at %a", (double)all.first_different);
            printf("\n");
            wrong |= all.different > 0;
        }
    return wrong;
}

int main(int argc, char **argv)
{
    static const float usual[] = {-1, 1e-3f, 0.1f, 0.5f, 1, 1.5f, 3, 100};
    const char *const mode = argc > 1 ? argv[1] : "";
    const int sample = !strcmp(mode, "sample"), all = !*mode;
    int wrong = 0;

    if (!(all || sample || !strcmp(mode, "sweep") || !strcmp(mode, "isas")) || (sample && argc < 3)) {
        fprintf(stderr, "usage: %s [sweep | isas | sample N [ALPHA ...]]\n", argv[0]);
        return 2;
    }
    found = mmap(NULL, WORKERS * sizeof *found, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (found == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    if (leaky_choose_isa()) {
        fprintf(stderr, "PYLEAKY_ISA names no supported ISA\n");
        return 2;
    }
    if (sample) {
        const long long step = atoll(argv[2]);
        float alphas[64];
        int count = 0;
        for (; count < argc - 3 && count < 64; count++)
            alphas[count] = strtof(argv[count + 3], NULL);
        if (step < 1 || (uint64_t)step > EVERY) {
            fprintf(stderr, "N is %s, expected 1 to 2^32\n", argv[2]);
            return 2;
        }
        printf("Every %lldth float32, gradients of 1, ISA %s.\n\n", step, leaky_isa_names[leaky_isa_in_use()]);
        return sweep((uint64_t)step, count ? alphas : usual, count ? count : (int)(sizeof usual / sizeof *usual));
    }
    if (strcmp(mode, "isas")) {
        printf("All 2^32 float32, gradients of 1, ISA %s.\n\n", leaky_isa_names[leaky_isa_in_use()]);
        wrong |= sweep(1, &(float){1}, 1);
    }
    if (all) {
        printf("\nEvery 101st float32, gradients of 1, ISA %s.\n\n", leaky_isa_names[leaky_isa_in_use()]);
        wrong |= sweep(101, usual, sizeof usual / sizeof *usual);
        printf("\n");
    }
    if (strcmp(mode, "sweep")) {
        printf("All 2^32 float32, alpha and gradients of 1.\n\n");
        wrong |= compare_isas();
    }
    return wrong;
}
