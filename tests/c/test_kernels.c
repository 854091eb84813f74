/* Every kernel of every ISA that this machine supports, without Python.  For each row and dtype the same inputs go
 * through lengths, offsets, strides and overlaps; each result is held against the same kernel going from element to
 * element, memory around the output and the inputs must be untouched, and all results are folded into one digest
 * (every NaN mapped to one).  The digests of all ISAs must agree; they are printed, so that two machines can be
 * compared by diff.  Formulas are checked elsewhere (tests/reference.py). */
#include "../../src/leaky.h"
#include "../../src/philox.h"
#include "data.h"

#include <fenv.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(_WIN32)
#include <windows.h>
#else
#include <sys/mman.h>
#include <unistd.h>
#endif

#define OPERANDS (LEAKY_MAX_INPUTS + 1)
#define GUARD 128    /* bytes watched on each side of an operand */
#define LONGEST 1003 /* elements; above the block of the strided path */
#define ROOM (3 * LONGEST * 8 + 4 * GUARD)

/* 1, or of the lengths, steps and shifts only each so many-th, for valgrind, which takes its time and has no flags. */
static int every = 1;
static unsigned char memory[OPERANDS][ROOM], before[OPERANDS][ROOM], expected[OPERANDS][ROOM];

static void fold(uint64_t *digest, uint64_t word)
{
    for (int i = 0; i < 8; i++)
        *digest = (*digest ^ (word >> (8 * i) & 255)) * 0x100000001b3u; /* FNV-1a */
}

static void fail(const struct leaky_entry *entry, const char *what, ptrdiff_t n, const ptrdiff_t *steps)
{
    fprintf(stderr, "%s %s %s: %s (n = %td, steps", leaky_isa_names[leaky_isa_in_use()], leaky_rows[entry->row].name,
            dtype_names[entry->dtype], what, n);
    for (int k = 0; k <= leaky_rows[entry->row].inputs; k++)
        fprintf(stderr, " %td", steps[k]);
    fprintf(stderr, ")\n");
    exit(1);
}

/* Operand k is memory[home[k]] from byte origin[k] on, so operands may share a home and overlap. */
static void check(const struct leaky_entry *entry, uint64_t *digest, ptrdiff_t n, const int *home,
                  const ptrdiff_t *origin, const ptrdiff_t *steps)
{
    const int inputs = leaky_rows[entry->row].inputs;
    const ptrdiff_t size = sizes[entry->dtype], one = 1;
    leaky_kernel *const kernel = leaky_kernel_in_use(entry);
    struct leaky_hints hints = {entry->numbers, 0};
    char *args[OPERANDS];

    /* What a loop from element to element leaves behind, everywhere in memory. */
    memcpy(before, memory, sizeof memory);
    for (ptrdiff_t i = 0; i < n; i++) {
        for (int k = 0; k <= inputs; k++)
            args[k] = (char *)memory[home[k]] + origin[k] + i * steps[k];
        kernel(args, &one, steps, &hints);
    }
    memcpy(expected, memory, sizeof memory);
    memcpy(memory, before, sizeof memory);

    for (int k = 0; k <= inputs; k++)
        args[k] = (char *)memory[home[k]] + origin[k];
    hints.stream = 1; /* gives the same bytes */
    kernel(args, &n, steps, &hints);

    unsigned char *const out = memory[home[inputs]] + origin[inputs];
    for (ptrdiff_t i = 0; i < n; i++) {
        unsigned char *const y = out + i * steps[inputs];
        const uint64_t bits = canonical(y, entry->dtype);
        const unsigned char *const want = expected[home[inputs]] + (y - memory[home[inputs]]);
        if (bits != canonical(want, entry->dtype))
            fail(entry, "result differs from the loop over elements", n, steps);
        fold(digest, bits);
        memcpy(y, want, (size_t)size); /* the payload of a NaN may differ */
    }
    if (memcmp(memory, expected, sizeof memory))
        fail(entry, "wrote outside its output", n, steps);
    memcpy(memory, before, sizeof memory);
}

static void lengths_and_offsets(const struct leaky_entry *entry, uint64_t *digest)
{
    const int inputs = leaky_rows[entry->row].inputs, parameters = leaky_rows[entry->row].parameters;
    const ptrdiff_t size = sizes[entry->dtype];
    const int home[] = {0, 1, 2, 3, 4};
    ptrdiff_t origin[OPERANDS], steps[OPERANDS];

    for (int numbers = 0; numbers <= parameters; numbers += parameters ? parameters : 1)
        for (ptrdiff_t n = 0; n <= LONGEST; n += n < 66 ? every : n < 300 ? 117 : LONGEST - n > 0 ? LONGEST - n : 1)
            for (ptrdiff_t offset = 0; offset < 17; offset += n < 66 && n % 8 ? 5 : 1)
                for (int misaligned = 0; misaligned < 2; misaligned++) {
                    for (int k = 0; k <= inputs; k++) {
                        origin[k] = GUARD + (k == inputs ? offset : (offset * (k + 3)) % 17) * size + misaligned * (k + 1);
                        steps[k] = numbers && k >= inputs - parameters && k < inputs ? 0 : size;
                    }
                    check(entry, digest, n, home, origin, steps);
                    if (parameters == 0 && numbers)
                        return;
                }
}

static void strides(const struct leaky_entry *entry, uint64_t *digest)
{
    static const ptrdiff_t some_n[] = {1, 2, 7, 67, 300};
    const int inputs = leaky_rows[entry->row].inputs;
    const ptrdiff_t size = sizes[entry->dtype];
    const int home[] = {0, 1, 2, 3, 4};
    int combinations = 1;
    for (int k = 0; k <= inputs; k++)
        combinations *= 7;
    for (int combination = 0; combination < combinations; combination += every * (inputs > 3 ? 11 : 1)) {
        const ptrdiff_t n = some_n[combination % 5];
        ptrdiff_t origin[OPERANDS], steps[OPERANDS];
        for (int k = 0, rest = combination; k <= inputs; k++, rest /= 7) {
            steps[k] = (rest % 7 - 3) * size;
            origin[k] = GUARD + (steps[k] < 0 ? -steps[k] * (n - 1) : 0);
        }
        check(entry, digest, n, home, origin, steps);
    }
}

static void overlaps(const struct leaky_entry *entry, uint64_t *digest)
{
    static const ptrdiff_t some_n[] = {1, 5, 64, 67, 300};
    const int inputs = leaky_rows[entry->row].inputs;
    const ptrdiff_t size = sizes[entry->dtype];
    for (int shared = 0; shared < inputs; shared++)
        for (ptrdiff_t shift = -20; shift <= 20; shift += every) /* bytes between the output and the input it overlaps */
            for (int length = 0; length < 5; length++)
                for (int stride = 1; stride <= 2; stride++) {
                    int home[] = {0, 1, 2, 3, 4};
                    ptrdiff_t origin[OPERANDS], steps[OPERANDS];
                    uint64_t unused = 0;
                    for (int k = 0; k <= inputs; k++) {
                        origin[k] = GUARD;
                        steps[k] = size * stride;
                    }
                    home[inputs] = shared;
                    origin[inputs] += shift * (shift % 2 ? 1 : size / 2);
                    /* Part of a NaN read as part of a number would put its payload into the digest. */
                    check(entry, origin[inputs] % size ? &unused : digest, some_n[length], home, origin, steps);
                }
}

/* OPERANDS pages, each with one after it that nobody may touch. */
static char *take_pages(ptrdiff_t page)
{
    const size_t bytes = (size_t)(2 * page * OPERANDS);
#if defined(_WIN32)
    DWORD before_it;
    char *const pages = VirtualAlloc(NULL, bytes, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    int ok = pages != NULL;
    for (int k = 0; ok && k < OPERANDS; k++)
        ok = VirtualProtect(pages + (2 * k + 1) * page, (size_t)page, PAGE_NOACCESS, &before_it);
#else
    char *const pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int ok = pages != MAP_FAILED;
    for (int k = 0; ok && k < OPERANDS; k++)
        ok = !mprotect(pages + (2 * k + 1) * page, (size_t)page, PROT_NONE);
#endif
    if (!ok)
        fprintf(stderr, "no pages to guard the operands with\n"), exit(1);
    return pages;
}

static void give_pages(char *pages, ptrdiff_t page)
{
#if defined(_WIN32)
    (void)page;
    VirtualFree(pages, 0, MEM_RELEASE);
#else
    munmap(pages, (size_t)(2 * page * OPERANDS));
#endif
}

static ptrdiff_t page_size(void)
{
#if defined(_WIN32)
    SYSTEM_INFO system;
    GetSystemInfo(&system);
    return (ptrdiff_t)system.dwPageSize;
#else
    return sysconf(_SC_PAGESIZE);
#endif
}

/* Operands end where an unmapped page begins: a read or write beyond the last element crashes. */
static void page_ends(const struct leaky_entry *entry, uint64_t *digest)
{
    const int inputs = leaky_rows[entry->row].inputs;
    const ptrdiff_t size = sizes[entry->dtype], page = page_size();
    char *const pages = take_pages(page);
    /* Anew, so that a longer row elsewhere in the table does not change the digest of this one. */
    random_state = (uint64_t)(entry->row * LEAKY_DTYPES + entry->dtype);
    for (int k = 0; k < OPERANDS; k++)
        for (ptrdiff_t i = 0; i < page; i += size)
            put_random((unsigned char *)pages + 2 * k * page + i, entry->dtype);
    for (ptrdiff_t n = 0; n <= 70; n += every) {
        char *args[OPERANDS];
        ptrdiff_t steps[OPERANDS];
        for (int k = 0; k <= inputs; k++) {
            args[k] = pages + (2 * k + 1) * page - n * size;
            steps[k] = size;
        }
        leaky_kernel_in_use(entry)(args, &n, steps, &(struct leaky_hints){entry->numbers, 1});
        for (ptrdiff_t i = 0; i < n; i++)
            fold(digest, canonical((unsigned char *)args[inputs] + i * size, entry->dtype));
    }
    give_pages(pages, page);
}

/* The driver's results and the caller's floating-point state, when that state rounds up and has a flag raised. */
static void environment(void)
{
    const float tiny = 0x1p-149f, third = -0x1.555556p-2f;
    const float x[] = {-3.0f, -tiny, third, 3.0e38f};
    const double wide[] = {0.1, -0.2, 0.3, INFINITY}, threshold = 0;
    double norms[2][2], moments[2][2] = {{0}};
    int64_t above[2] = {0};
    int exponent;
    float plain[4], upward[4];
    char *args[] = {(char *)x, NULL, (char *)plain};
    ptrdiff_t steps[] = {4, 0, 4};

    leaky_run_number(args, 4, steps, LEAKY_leaky_relu, LEAKY_F32, 0.1);
    int status = leaky_run_norm(LEAKY_NORM_2, LEAKY_F64, (const char *)wide, 3, &norms[0][0], &exponent) |
                 leaky_run_norm(LEAKY_NORM_1, LEAKY_F64, (const char *)wide, 4, &norms[0][1], &exponent) |
                 leaky_add_units(LEAKY_F64, (const char *)wide, 3, 1, 1, &threshold, 1, &above[0], moments[0]);
    args[2] = (char *)upward;
    feclearexcept(FE_ALL_EXCEPT);
    feraiseexcept(FE_DIVBYZERO);
    if (fesetround(FE_UPWARD))
        fprintf(stderr, "this machine cannot round up\n"), exit(1);
    leaky_run_number(args, 4, steps, LEAKY_leaky_relu, LEAKY_F32, 0.1);
    status |= leaky_run_norm(LEAKY_NORM_2, LEAKY_F64, (const char *)wide, 3, &norms[1][0], &exponent) |
              leaky_run_norm(LEAKY_NORM_1, LEAKY_F64, (const char *)wide, 4, &norms[1][1], &exponent) |
              leaky_add_units(LEAKY_F64, (const char *)wide, 3, 1, 1, &threshold, 1, &above[1], moments[1]);
    const int rounding = fegetround(), flags = fetestexcept(FE_ALL_EXCEPT);
    fesetround(FE_TONEAREST);
    if (status || memcmp(plain, upward, sizeof plain) || memcmp(norms[0], norms[1], sizeof *norms) ||
        memcmp(moments[0], moments[1], sizeof *moments) || above[0] != above[1])
        fprintf(stderr, "the caller's rounding mode changed a result\n"), exit(1);
    if (rounding != FE_UPWARD || flags != FE_DIVBYZERO)
        fprintf(stderr, "the caller's floating-point state was not restored\n"), exit(1);
}

/* ---- fused.inc and reductions.inc */

/* Those that are called by elements, and after them those that are called as a whole. */
enum { FUSED = LEAKY_MASKED_KERNELS + LEAKY_RANDOM_KERNELS, REDUCTIONS = FUSED + 1 + LEAKY_ACTIVATIONS, WHOLE };
static const char *const fused_names[WHOLE] = {"relu_masked", "leaky_relu_masked", "relu_backward_masked",
                                                   "leaky_relu_backward_masked", "dropout", "rrelu", "rrelu_backward",
                                                   "prelu_backward", "bias_linear", "bias_relu", "bias_leaky_relu",
                                                   "bias_elu", "bias_selu", "reductions"};

static void fused_fail(int kernel, enum leaky_dtype dtype, const char *what, ptrdiff_t n)
{
    fprintf(stderr, "%s %s %s: %s (n = %td)\n", leaky_isa_names[leaky_isa_in_use()], fused_names[kernel], dtype_names[dtype],
            what, n);
    exit(1);
}

/* memory[0] and [1] hold the inputs, [2] the output, [3] the mask; whatever lies outside of n elements must stay. */
static void run_fused(int kernel, enum leaky_dtype dtype, ptrdiff_t from, ptrdiff_t n, const ptrdiff_t *at, ptrdiff_t mask_at)
{
    const struct leaky_fused *const fused = leaky_fused_kernels[leaky_isa_in_use()][dtype];
    if (kernel < LEAKY_MASKED_KERNELS) {
        const struct leaky_masked call = {(char *)memory[0] + at[0], (char *)memory[2] + at[2], memory[3] + mask_at, -0.3,
                                          (int)(n % 2)};
        fused->masked[kernel](&call, from, n);
    } else {
        const struct leaky_random call = {.in = {(char *)memory[0] + at[0], (char *)memory[1] + at[1]},
                                          .out = (char *)memory[2] + at[2], .seed = 0x123456789abcdef, .start = (uint64_t)n,
                                          .stream = 1, .p = 0.3, .lower = 0.1, .upper = 0.4};
        fused->random[kernel - LEAKY_MASKED_KERNELS](&call, from, n);
    }
}

static void fused_kernel(int kernel, enum leaky_dtype dtype, uint64_t *digest)
{
    const ptrdiff_t size = sizes[dtype];
    const int writes_mask = kernel < LEAKY_RELU_BACKWARD_MASKED;
    for (ptrdiff_t n = 0; n <= LONGEST; n += n < 140 ? every : n < 600 ? 153 : LONGEST - n > 0 ? LONGEST - n : 1)
        for (ptrdiff_t offset = 0; offset < 17; offset += n < 140 ? 4 : 1) {
            const ptrdiff_t at[3] = {GUARD + offset * size, GUARD + 3 * size, GUARD + (16 - offset) * size};
            const ptrdiff_t mask_at = GUARD + offset, bytes = (n + 7) / 8;
            memcpy(before, memory, sizeof memory);
            run_fused(kernel, dtype, 0, n, at, mask_at);
            for (ptrdiff_t i = 0; i < n; i++)
                fold(digest, canonical(memory[2] + at[2] + i * size, dtype));
            for (ptrdiff_t i = 0; i < bytes; i++)
                fold(digest, memory[3][mask_at + i]);
            /* In two parts it is the same, and nothing else is touched. */
            memcpy(expected, memory, sizeof memory);
            memcpy(memory, before, sizeof memory);
            const ptrdiff_t middle = n / 2 / 64 * 64;
            run_fused(kernel, dtype, 0, middle, at, mask_at);
            if (kernel < LEAKY_MASKED_KERNELS) {
                run_fused(kernel, dtype, middle, n - middle, at, mask_at);
                for (ptrdiff_t i = 0; i < n * size; i += size)
                    if (canonical(memory[2] + at[2] + i, dtype) != canonical(expected[2] + at[2] + i, dtype))
                        fused_fail(kernel, dtype, "two parts are not the whole", n);
                if (memcmp(memory[3] + mask_at, expected[3] + mask_at, (size_t)bytes))
                    fused_fail(kernel, dtype, "the mask of two parts is not that of the whole", n);
            }
            memcpy(memory[2] + at[2], before[2] + at[2], (size_t)(n * size));
            if (writes_mask)
                memcpy(memory[3] + mask_at, before[3] + mask_at, (size_t)bytes);
            if (memcmp(memory, before, sizeof memory))
                fused_fail(kernel, dtype, "wrote outside its output", n);
        }
}

/* Finite numbers only: what inf - inf leaves in a sum depends on nothing here, but the sign of a NaN does. */
static void put_finite(enum leaky_dtype dtype)
{
    for (int k = 0; k < 3; k++)
        for (ptrdiff_t i = 0; i + 8 <= ROOM; i += sizes[dtype])
            do
                put_random(memory[k] + i, dtype);
            while (dtype == LEAKY_F32   ? (memory[k][i + 3] & 0x7c) > 0x44
                   : dtype == LEAKY_F64 ? (memory[k][i + 7] & 0x7f) > 0x41
                                        : (memory[k][i + 1] & 0x7c) > 0x44);
}

/* Folds a result and restores what was there; nothing else may have changed. */
static void take(int kernel, enum leaky_dtype dtype, char *result, ptrdiff_t n, const double *sums, ptrdiff_t channels,
                 uint64_t *digest)
{
    const ptrdiff_t size = sizes[dtype];
    for (ptrdiff_t i = 0; i < n; i++)
        fold(digest, canonical((unsigned char *)result + i * size, dtype));
    for (ptrdiff_t i = 0; i < channels; i++)
        fold(digest, canonical((const unsigned char *)(sums + i), LEAKY_F64));
    memcpy(result, before[3] + (result - (char *)memory[3]), (size_t)(n * size));
    if (memcmp(memory, before, sizeof memory))
        fused_fail(kernel, dtype, "wrote outside its output", n);
}

static const ptrdiff_t shapes[][3] = {{1, 1, 1003}, {3, 5, 60}, {2, 2, 250}, {100, 10, 1}, {5, 67, 3}, {10, 33, 3}, {4, 1, 1}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static void prelu(enum leaky_dtype dtype, uint64_t *digest)
{
    const ptrdiff_t size = sizes[dtype];
    double sums[128];
    for (size_t k = 0; k < SHAPES; k++) {
        const ptrdiff_t outer = shapes[k][0], channels = shapes[k][1], inner = shapes[k][2], n = outer * channels * inner;
        char *const dx = (char *)memory[3] + GUARD + size * (ptrdiff_t)k;
        memcpy(before, memory, sizeof memory);
        if (leaky_run_prelu_backward(dtype, (char *)memory[0], (char *)memory[1], (char *)memory[1] + 64 * size, dx, sums, shapes[k],
                                     3))
            fused_fail(FUSED, dtype, "no memory", n);
        take(FUSED, dtype, dx, n, sums, channels, digest);
    }
}

/* Forward with and without a mask; backward from x, from the output and from output and mask; and twice. */
static void bias_act(enum leaky_activation activation, enum leaky_dtype dtype, uint64_t *digest)
{
    static unsigned char output[ROOM], mask[ROOM / 8];
    const int kernel = FUSED + 1 + (int)activation;
    const ptrdiff_t size = sizes[dtype];
    double sums[128];
    for (size_t k = 0; k < SHAPES; k++)
        for (int bounded = 0; bounded < 2; bounded++) {
            const ptrdiff_t outer = shapes[k][0], channels = shapes[k][1], inner = shapes[k][2], n = outer * channels * inner;
            char *const x = (char *)memory[0] + size * (ptrdiff_t)k, *const result = (char *)memory[3] + GUARD + size * (ptrdiff_t)k;
            const char *const bias = (char *)memory[1] + 64 * size;
            const double clamp = bounded ? 0.7 : INFINITY, gain = 1.25;
            struct leaky_bias_act forward = {.x = x, .bias = bias, .y = result, .channels = channels, .inner = inner,
                                             .slope = 0.3, .gain = gain, .clamp = clamp};
            struct leaky_gradients backward = {.grad = (char *)memory[1], .parameter = bias, .dx = result, .outer = outer,
                                               .channels = channels, .inner = inner, .slope = 0.3, .gain = gain, .clamp = clamp};
            memcpy(before, memory, sizeof memory);
            for (int masked = 0; masked < 2; masked++) {
                forward.mask = masked ? mask : NULL;
                if (leaky_run_bias_act(activation, dtype, &forward, n))
                    fused_fail(kernel, dtype, "no memory", n);
                memcpy(output, result, (size_t)(n * size));
                take(kernel, dtype, result, n, NULL, 0, digest);
            }
            for (ptrdiff_t i = 0; i < (n + 7) / 8; i++)
                fold(digest, mask[i]);
            for (int from = 0; from < (activation < LEAKY_ELU ? 3 : 4); from++) {
                backward.x = from % 3 ? NULL : x;
                backward.output = from % 3 ? (char *)output : NULL;
                backward.mask = from == 2 ? mask : NULL;
                backward.gg = from == 3 ? (char *)memory[2] : NULL;
                if (leaky_run_bias_act_backward(activation, dtype, &backward, sums))
                    fused_fail(kernel, dtype, "no memory", n);
                take(kernel, dtype, result, n, sums, channels, digest);
            }
        }
}

static void fold_double(uint64_t *digest, double value) { fold(digest, canonical((const unsigned char *)&value, LEAKY_F64)); }

/* Norms of anything and of finite numbers, from any place; and what is counted of units, of finite numbers. */
static void reductions(enum leaky_dtype dtype, uint64_t *digest)
{
    static const ptrdiff_t lengths[] = {0, 1, 7, 15, 16, 17, 33, 100, 1003};
    static const double thresholds[LEAKY_MOST_THRESHOLDS] = {-1, 0, 0.5, 1e30};
    memcpy(before, memory, sizeof memory);
    for (int finite = 0; finite < 2; finite++) {
        for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++)
            for (int norm = 0; norm <= LEAKY_NORM_2; norm++) {
                const char *const x = (char *)memory[finite ? 1 : 0] + sizes[dtype] * (ptrdiff_t)(k % 3);
                double value;
                int exponent;
                if (leaky_run_norm((enum leaky_norm)norm, dtype, x, lengths[k], &value, &exponent))
                    fused_fail(REDUCTIONS, dtype, "no memory", lengths[k]);
                fold_double(digest, value);
                fold(digest, (uint64_t)exponent);
            }
        if (!finite)
            put_finite(dtype);
        memcpy(before, memory, sizeof memory);
    }
    for (size_t k = 0; k < SHAPES; k++)
        for (int count = 1; count <= LEAKY_MOST_THRESHOLDS; count++) {
            const ptrdiff_t outer = shapes[k][0], channels = shapes[k][1], inner = shapes[k][2];
            int64_t counts[LEAKY_MOST_THRESHOLDS * 128] = {0};
            double moments[2 * 128] = {0};
            if (leaky_add_units(dtype, (char *)memory[0] + sizes[dtype], outer, channels, inner, thresholds, count, counts, moments))
                fused_fail(REDUCTIONS, dtype, "no memory", outer);
            leaky_add_mask(memory[1], outer, channels, inner, counts);
            for (ptrdiff_t i = 0; i < count * channels; i++)
                fold(digest, (uint64_t)counts[i]);
            for (ptrdiff_t i = 0; i < 2 * channels; i++)
                fold_double(digest, moments[i]);
        }
    if (memcmp(memory, before, sizeof memory))
        fused_fail(REDUCTIONS, dtype, "wrote to its input", 0);
}

static void known_answers(void)
{
    static const uint32_t counter[3][4] = {{0}, {~0u, ~0u, ~0u, ~0u}, {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}};
    static const uint32_t key[3][2] = {{0}, {~0u, ~0u}, {0xa4093822, 0x299f31d0}};
    static const uint32_t published[3][4] = {{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
                                             {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
                                             {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}};
    for (int i = 0; i < 3; i++) {
        uint32_t words[4];
        philox(counter[i], key[i], words);
        if (memcmp(words, published[i], sizeof words))
            fprintf(stderr, "philox differs from its published vectors\n"), exit(1);
    }
}

int main(int count, char **arguments)
{
    uint64_t digests[LEAKY_ROWS][LEAKY_DTYPES] = {{0}}, fused[WHOLE][LEAKY_DTYPES] = {{0}};
    int isas = 0;

    if (count > 1)
        every = atoi(arguments[1]);
    known_answers();
    for (int isa = 0; isa < LEAKY_ISAS; isa++) {
        if (!leaky_isa_supported((enum leaky_isa)isa) || leaky_use_isa(leaky_isa_names[isa]))
            continue;
        isas++;
        fprintf(stderr, "%s\n", leaky_isa_names[isa]);
        if (every == 1)
            environment();
        for (int row = 0; row < LEAKY_ROWS; row++)
            for (int dtype = 0; dtype < LEAKY_DTYPES; dtype++) {
                const struct leaky_entry *const entry = &leaky_entries[0][row][dtype];
                uint64_t digest = 0xcbf29ce484222325u;
                random_state = (uint64_t)(row * LEAKY_DTYPES + dtype);
                for (int k = 0; k < OPERANDS; k++)
                    for (ptrdiff_t i = 0; i + 8 <= ROOM; i += sizes[dtype])
                        put_random(memory[k] + i, entry->dtype);
                lengths_and_offsets(entry, &digest);
                if (leaky_rows[row].parameters && sizes[dtype] == 2)
                    lengths_and_offsets(&leaky_entries[1][row][dtype], &digest);
                strides(entry, &digest);
                overlaps(entry, &digest);
                page_ends(entry, &digest);
                if (isas > 1 && digest != digests[row][dtype]) {
                    fprintf(stderr, "%s %s: %s differs from the ISA before it\n", leaky_rows[row].name,
                            dtype_names[dtype], leaky_isa_names[isa]);
                    return 1;
                }
                digests[row][dtype] = digest;
            }
        for (int kernel = 0; kernel < WHOLE; kernel++)
            for (int dtype = 0; dtype < LEAKY_DTYPES; dtype++) {
                uint64_t digest = 0xcbf29ce484222325u;
                random_state = (uint64_t)(kernel * LEAKY_DTYPES + dtype);
                for (int k = 0; k < OPERANDS; k++)
                    for (ptrdiff_t i = 0; i + 8 <= ROOM; i += sizes[dtype])
                        put_random(memory[k] + i, (enum leaky_dtype)dtype);
                if (kernel >= FUSED && kernel < REDUCTIONS)
                    put_finite((enum leaky_dtype)dtype);
                if (kernel < FUSED)
                    fused_kernel(kernel, (enum leaky_dtype)dtype, &digest);
                else if (kernel == REDUCTIONS)
                    reductions((enum leaky_dtype)dtype, &digest);
                else if (kernel == FUSED)
                    prelu((enum leaky_dtype)dtype, &digest);
                else
                    bias_act((enum leaky_activation)(kernel - FUSED - 1), (enum leaky_dtype)dtype, &digest);
                if (isas > 1 && digest != fused[kernel][dtype])
                    fused_fail(kernel, (enum leaky_dtype)dtype, "differs from the ISA before it", 0);
                fused[kernel][dtype] = digest;
            }
    }
    for (int row = 0; row < LEAKY_ROWS; row++)
        for (int dtype = 0; dtype < LEAKY_DTYPES; dtype++)
            printf("%-28s%-12s%016llx\n", leaky_rows[row].name, dtype_names[dtype],
                   (unsigned long long)digests[row][dtype]);
    for (int kernel = 0; kernel < WHOLE; kernel++)
        for (int dtype = 0; dtype < LEAKY_DTYPES; dtype++)
            printf("%-28s%-12s%016llx\n", fused_names[kernel], dtype_names[dtype], (unsigned long long)fused[kernel][dtype]);
    return 0;
}
