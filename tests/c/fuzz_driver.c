/* Everything that the core offers to a caller, with arguments that the input chooses: row, dtype, ISA, threads, lengths, steps,
 * places, overlaps, shapes.  Results are held against a plain loop over the elements, which for one element asks the
 * scalar kernel of the table; all operands lie in one arena, of which nothing but the result may change.  `make fuzz` lets libFuzzer
 * choose the input; without LEAKY_LIBFUZZER this is a test of its own that takes random bytes.  A new entry point
 * gets a function here and a place in `targets`. */
#include "../../src/leaky.h"
#include "../../src/philox.h"
#include "data.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#define LEAKY_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LEAKY_ASAN 1
#endif
#endif
#if defined(LEAKY_ASAN)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(at, size) ((void)(at), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(at, size) ((void)(at), (void)(size))
#endif

/* GUARD is more than any shift between overlapping operands. */
enum { ARENA = 3 << 20, GUARD = 512, LONGEST = 40000, OPERANDS = LEAKY_MAX_INPUTS + 1 };
static _Alignas(64) unsigned char arena[ARENA], before[ARENA], expected[ARENA];
static ptrdiff_t top; /* what lies below is in use */
static struct {
    ptrdiff_t at, bytes;
} spans[2 * OPERANDS];
static int span_count;

static const uint8_t *input;
static size_t input_left;
static const char *what; /* is being tested */
static enum leaky_isa isa;
static enum leaky_dtype dtype;
static ptrdiff_t size;
static int threads;

static void require(int ok, const char *message)
{
    if (!ok) {
        fprintf(stderr, "%s, %s, %s, %d threads: %s\n", what, dtype_names[dtype], leaky_isa_names[isa], threads, message);
        abort();
    }
}

/* ---- choices */

static unsigned next_byte(void)
{
    if (!input_left)
        return 0;
    input_left--;
    return *input++;
}

static ptrdiff_t choose(ptrdiff_t below) /* of 0 to below - 1 */
{
    return (ptrdiff_t)(below <= 256 ? next_byte() : next_byte() << 8 | next_byte()) % below;
}

static double choose_number(void)
{
    static const double numbers[] = {0.01, 0, -0.0, 1, -1, 0.25, -0.3, 1.6732632423543772, 3, 1e-3, 1e30, -1e-40, 1e-310, 1e300,
                                     INFINITY, -INFINITY, NAN};
    return numbers[choose(sizeof numbers / sizeof *numbers)];
}

static ptrdiff_t choose_length(ptrdiff_t most)
{
    const ptrdiff_t kind = choose(64), n = kind < 36   ? choose(140)
                                           : kind < 56 ? choose(1100)
                                           : kind < 60 ? choose(9000)
                                                       : 16384 + choose(LONGEST - 16384);
    return n < most ? n : most;
}

/* ---- the arena */

static void begin(void)
{
    top = 0;
    span_count = 0;
}

static void add_span(ptrdiff_t at, ptrdiff_t bytes)
{
    spans[span_count].at = at;
    spans[span_count++].bytes = bytes;
    if (top < at + bytes)
        top = at + bytes;
    require(top + 2 * GUARD <= ARENA, "the arena is too small");
}

/* So many bytes after everything else; returns where. */
static ptrdiff_t place(ptrdiff_t bytes)
{
    const ptrdiff_t at = (top + GUARD + 63) / 64 * 64 + (choose(3) ? choose(64) : 0);
    add_span(at, bytes);
    return at;
}

/* The same, aligned as doubles need it. */
static ptrdiff_t place_doubles(ptrdiff_t count)
{
    const ptrdiff_t at = (top + GUARD + 63) / 64 * 64 + 8 * choose(8);
    add_span(at, count * 8);
    return at;
}

/* Elements of `type` from `at` on, finite ones or any; between the operands nothing is interesting. */
static void fill(ptrdiff_t at, ptrdiff_t bytes, enum leaky_dtype type, int finite)
{
    for (ptrdiff_t i = at; i + 8 <= at + bytes + 8; i += sizes[type])
        do
            put_random(arena + i, type);
        while (finite && (type == LEAKY_F64   ? (arena[i + 7] & 0x7f) > 0x41
                          : type == LEAKY_F32 ? (arena[i + 3] & 0x7f) > 0x45
                                              : (arena[i + 1] & 0x7f) > 0x46));
}

static void nothing(void *context, ptrdiff_t chunk, int member) { (void)context, (void)chunk, (void)member; }

/* Remembers the arena and forbids all of it that is no operand's; then wakes the threads, since only much longer calls are shared
 * with those that sleep. */
static void guard(void)
{
    memcpy(before, arena, (size_t)(top + GUARD));
    ASAN_POISON_MEMORY_REGION(arena, (size_t)(top + 2 * GUARD));
    for (int k = 0; k < span_count; k++)
        ASAN_UNPOISON_MEMORY_REGION(arena + spans[k].at, (size_t)spans[k].bytes);
    if (top > 32768)
        leaky_parallel(nothing, NULL, threads, threads);
}

static void unguard(void) { ASAN_UNPOISON_MEMORY_REGION(arena, (size_t)(top + 2 * GUARD)); }

/* What the arena holds is expected of the next call too, which finds it as it was before. */
static void expect_this(void)
{
    unguard();
    memcpy(expected, arena, (size_t)(top + GUARD));
    memcpy(arena, before, (size_t)(top + GUARD));
    guard();
}

/* Whether the element is the one that is expected, all NaN being one; then it becomes that. */
static void agree(ptrdiff_t at, enum leaky_dtype type)
{
    require(canonical(arena + at, type) == canonical(expected + at, type), "a result is wrong");
    memcpy(arena + at, expected + at, (size_t)sizes[type]);
}

static void agree_all(ptrdiff_t at, ptrdiff_t n, enum leaky_dtype type)
{
    for (ptrdiff_t i = 0; i < n; i++)
        agree(at + i * sizes[type], type);
}

static void nothing_else_changed(void)
{
    require(!memcmp(arena, expected, (size_t)(top + GUARD)), "something else than the result has changed");
}

/* ---- one element */

static double element(const unsigned char *p)
{
    uint16_t half;
    uint32_t bits;
    float narrow;
    double wide;
    memcpy(&half, p, sizeof half);
    if (dtype == LEAKY_F64)
        return memcpy(&wide, p, sizeof wide), wide;
    if (dtype == LEAKY_F32)
        return memcpy(&narrow, p, sizeof narrow), narrow;
    if (dtype == LEAKY_BF16) {
        bits = (uint32_t)half << 16;
        return memcpy(&narrow, &bits, sizeof narrow), narrow;
    }
    const int exponent = half >> 10 & 31, significand = half & 1023;
    wide = exponent == 31 ? (significand ? NAN : INFINITY)
                          : ldexp(significand + (exponent ? 1024 : 0), (exponent ? exponent : 1) - 25);
    return half & 0x8000 ? -wide : wide;
}

/* To the type in which the dtype is computed. */
static double rounded(double number) { return dtype == LEAKY_F64 ? number : (double)(float)number; }

static enum leaky_dtype computed_in(void) { return dtype == LEAKY_F64 ? LEAKY_F64 : LEAKY_F32; }

/* The row's result before it is rounded to a half type. */
static double row_in(enum leaky_dtype type, enum leaky_row row, double a, double b, double c, double d)
{
    const double wide[OPERANDS] = {a, b, c, d};
    const float narrow[OPERANDS] = {(float)a, (float)b, (float)c, (float)d};
    const ptrdiff_t one = 1, steps[OPERANDS] = {0};
    double wide_result;
    float narrow_result;
    char *args[OPERANDS];
    for (int k = 0; k < leaky_rows[row].inputs; k++)
        args[k] = type == LEAKY_F64 ? (char *)&wide[k] : (char *)&narrow[k];
    args[leaky_rows[row].inputs] = type == LEAKY_F64 ? (char *)&wide_result : (char *)&narrow_result;
    leaky_kernels[LEAKY_SCALAR][type][row](args, &one, steps, NULL);
    return type == LEAKY_F64 ? wide_result : (double)narrow_result;
}

static double row_of(enum leaky_row row, double a, double b, double c, double d)
{
    return row_in(computed_in(), row, a, b, c, d);
}

static int is_result(const unsigned char *p, double want)
{
    const double got = element(p), stored = isnan(want) || dtype == LEAKY_F64 ? want : leaky_as_stored((float)want, dtype);
    return isnan(stored) ? isnan(got) : got == stored && !signbit(got) == !signbit(stored);
}

/* Checks element i of the result and restores what was there before the call, as if it had been untouched. */
static void take(ptrdiff_t at, ptrdiff_t i, double want)
{
    if (!is_result(arena + at + i * size, want))
        fprintf(stderr, "element %td is %a and should be %a\n", i, element(arena + at + i * size), want);
    require(is_result(arena + at + i * size, want), "a result is wrong");
    memcpy(arena + at + i * size, before + at + i * size, (size_t)size);
}

static void nothing_left(void)
{
    require(!memcmp(arena, before, (size_t)(top + GUARD)), "something else than the result has changed");
}

static double old(ptrdiff_t at, ptrdiff_t i) { return element(before + at + i * size); }

static int bit(const unsigned char *mask, ptrdiff_t i) { return mask[i / 8] >> i % 8 & 1; }

/* Runs with the ISA and the threads that were chosen. */
static void chosen(void)
{
    leaky_use_isa(leaky_isa_names[isa]);
    leaky_limit_threads(threads);
}

static void plain(void)
{
    leaky_use_isa("scalar");
    leaky_limit_threads(1);
}

/* ---- elementwise rows */

static ptrdiff_t low_of(ptrdiff_t step, ptrdiff_t n) { return n > 1 && step < 0 ? step * (n - 1) : 0; }
static ptrdiff_t bytes_of(ptrdiff_t step, ptrdiff_t n, ptrdiff_t each)
{
    return n > 0 ? (step < 0 ? -step : step) * (n - 1) + each : 0;
}

static ptrdiff_t choose_step(int kind, ptrdiff_t each)
{
    return kind == 0 ? each : kind == 1 ? (choose(7) - 3) * each : kind == 2 ? choose(49) - 24 : each * (1 - 2 * choose(2));
}

/* What the kernel of `with` leaves when it is called for one element after another, as the definition of a kernel says. */
static void expect_elements(const struct leaky_entry *entry, enum leaky_isa with, ptrdiff_t n, const ptrdiff_t *at,
                            const ptrdiff_t *steps)
{
    leaky_kernel *const kernel = leaky_kernels[with][entry->dtype][entry->row];
    const struct leaky_hints hints = {entry->numbers, 0};
    const ptrdiff_t one = 1;
    char *args[OPERANDS];
    for (ptrdiff_t i = 0; i < n; i++) {
        for (int k = 0; k <= leaky_rows[entry->row].inputs; k++)
            args[k] = (char *)expected + at[k] + i * steps[k];
        kernel(args, &one, steps, (void *)&hints);
    }
}

static void elementwise(void)
{
    const enum leaky_row row = (enum leaky_row)choose(LEAKY_ROWS);
    const int inputs = leaky_rows[row].inputs, parameters = leaky_rows[row].parameters;
    const int numbers = (int)choose(2), kind = (int)choose(4), by_number = parameters == 1 && choose(4) == 0;
    const int repeat_parameter = (int)choose(2), overlap = (int)choose(3) ? -1 : (int)choose(inputs);
    const struct leaky_entry *const entry = &leaky_entries[numbers || by_number][row][dtype];
    const int strided = kind == 1 || kind == 2, shared = overlap >= 0 && !strided && choose(16) == 0;
    const ptrdiff_t n = shared ? 16384 + choose(LONGEST - 16384) : choose_length(strided ? 9000 : LONGEST);
    const double number = choose_number();
    ptrdiff_t at[OPERANDS], steps[OPERANDS], low[OPERANDS], each[OPERANDS];
    int exact = 1; /* how a NaN's payload goes on does not matter */

    what = leaky_rows[row].name;
    begin();
    for (int k = 0; k <= inputs; k++) {
        const int parameter = k >= inputs - parameters && k < inputs;
        each[k] = parameter && entry->numbers && size == 2 ? 4 : size;
        steps[k] = parameter && (repeat_parameter || by_number) ? 0 : choose_step(kind, each[k]);
        const ptrdiff_t bytes = bytes_of(steps[k], n, each[k]);
        if (k == inputs && overlap >= 0) {
            const ptrdiff_t shift = choose(2) ? (choose(41) - 20) * size : choose(41) - 20;
            low[k] = low[overlap] + (choose(2) ? shift : 0);
            add_span(low[k], bytes);
        } else
            low[k] = place(bytes);
        at[k] = low[k] - low_of(steps[k], n);
    }
    const ptrdiff_t out_low = low[inputs], out_high = out_low + bytes_of(steps[inputs], n, size);
    for (int k = 0; k < inputs; k++)
        if (low[k] < out_high && out_low < low[k] + bytes_of(steps[k], n, each[k]))
            exact &= (at[k] - at[inputs]) % size == 0 && steps[k] % size == 0 && each[k] == size;
    exact &= steps[inputs] % size == 0;

    random_state = (uint64_t)choose(256);
    fill(0, top + GUARD, dtype, choose(4) == 0);
    if (by_number) { /* the oracle's operand: as a place for it there is that of the argument which the driver ignores */
        leaky_round_number(number, dtype, arena + at[inputs - 1]);
        exact &= out_high <= low[inputs - 1] || low[inputs - 1] + 4 <= out_low;
    }
    memcpy(expected, arena, (size_t)(top + GUARD));
    if (by_number && !exact)
        return;
    expect_elements(entry, exact ? LEAKY_SCALAR : isa, n, at, steps);

    char *args[OPERANDS];
    for (int k = 0; k <= inputs; k++)
        args[k] = (char *)arena + at[k];
    chosen();
    guard();
    if (by_number) {
        args[inputs - 1] = NULL;
        leaky_run_number(args, n, steps, row, dtype, number);
    } else
        leaky_run(args, &n, steps, (void *)entry);
    unguard();
    for (ptrdiff_t i = 0; i < n; i++)
        agree(at[inputs] + i * steps[inputs], dtype);
    nothing_else_changed();
}

/* ---- several axes */

static void layout(void)
{
    const enum leaky_row row = (enum leaky_row)choose(LEAKY_ROWS);
    const int inputs = leaky_rows[row].inputs, parameters = leaky_rows[row].parameters, numbers = (int)choose(2);
    const struct leaky_entry *const entry = &leaky_entries[numbers][row][dtype];
    const int weights = (int)choose(2) && parameters == 1, in_place = choose(4) == 0, large = choose(32) == 0;
    const int dims = large ? 2 + (int)choose(2) : 1 + (int)choose(weights ? 3 : 5), along = (int)choose(2);
    struct leaky_axis axes[6] = {{0, {0}}};
    ptrdiff_t at[OPERANDS], n = 1;

    what = "layout";
    begin();
    for (int d = 0; d < dims; d++) {
        axes[d].size = large ? (d < 2 ? 100 + choose(80) : 1) : choose(16) == 0 ? choose(300) : choose(7);
        if (n * axes[d].size > LONGEST)
            axes[d].size = 1;
        n *= axes[d].size;
    }
    for (int k = 0; k <= inputs; k++) {
        const ptrdiff_t each = k >= inputs - parameters && k < inputs && numbers && size == 2 ? 4 : size;
        ptrdiff_t stride = each, low = 0, bytes = each;
        if (k == inputs && in_place && inputs > parameters) { /* the first input */
            at[k] = at[0];
            for (int d = 0; d < dims; d++)
                axes[d].steps[k] = axes[d].steps[0];
            break;
        }
        if (weights)
            for (int d = 0; d < dims; d++) {
                axes[d].steps[k] = k != inputs - 1 ? stride : d == along ? each : 0;
                bytes += axes[d].steps[k] * (axes[d].size - 1);
                stride *= axes[d].size;
            }
        else
            for (int d = 0, first = (int)choose(dims), gap = (int)choose(4) == 0, kind = (int)choose(3); d < dims; d++) {
                struct leaky_axis *const axis = &axes[(d + (kind ? 0 : first)) % dims];
                axis->steps[k] = choose(4) == 0 ? -stride : stride;
                if (k < inputs && !in_place && choose(5) == 0)
                    axis->steps[k] = 0;
                low += axis->steps[k] < 0 ? axis->steps[k] * (axis->size - 1) : 0;
                bytes += (axis->steps[k] < 0 ? -axis->steps[k] : axis->steps[k]) * (axis->size - 1);
                stride = stride * (axis->size ? axis->size : 1) + (gap && !d ? size : 0);
            }
        if (n == 0)
            low = bytes = 0;
        at[k] = place(bytes) - low;
    }
    random_state = (uint64_t)choose(256);
    fill(0, top + GUARD, dtype, 0);
    memcpy(expected, arena, (size_t)(top + GUARD));

    char *args[OPERANDS];
    for (int pass = 0; pass < 2; pass++) {
        ptrdiff_t index[6] = {0};
        for (ptrdiff_t i = 0; i < n; i++) {
            ptrdiff_t places[OPERANDS], steps[OPERANDS] = {0};
            for (int k = 0; k <= inputs; k++) {
                places[k] = at[k];
                for (int d = 0; d < dims; d++)
                    places[k] += index[d] * axes[d].steps[k];
            }
            if (pass)
                agree(places[inputs], dtype);
            else
                expect_elements(entry, LEAKY_SCALAR, 1, places, steps);
            for (int d = 0; d < dims && ++index[d] == axes[d].size; d++)
                index[d] = 0;
        }
        if (pass)
            break;
        for (int k = 0; k <= inputs; k++)
            args[k] = (char *)arena + at[k];
        chosen();
        guard();
        leaky_run_layout(args, dims, axes, entry);
        unguard();
    }
    nothing_else_changed();
}

/* ---- masks */

static void masked(void)
{
    const enum leaky_masked_kernel kernel = (enum leaky_masked_kernel)choose(LEAKY_MASKED_KERNELS);
    const int backward = kernel >= LEAKY_RELU_BACKWARD_MASKED, leaky = kernel % 2;
    const ptrdiff_t n = choose_length(LONGEST);
    const double slope = rounded(choose_number());

    what = "masked";
    begin();
    const ptrdiff_t in = place(n * size), out = choose(3) ? place(n * size) : in, mask = place((n + 7) / 8);
    random_state = (uint64_t)choose(256);
    fill(0, top + GUARD, dtype, 0);
    chosen();
    guard();
    leaky_run_masked(kernel, dtype, (char *)arena + in, (char *)arena + out, arena + mask, n, slope);
    unguard();
    for (ptrdiff_t i = 0; i < n; i++) {
        const double x = old(in, i), side = bit(before + mask, i);
        if (!backward)
            require(bit(arena + mask, i) == (x > 0), "a bit is wrong");
        take(out, i, backward ? (leaky ? row_of(LEAKY_leaky_relu_backward, x, side, slope, 0) : row_of(LEAKY_relu_backward, x, side, 0, 0))
                     : leaky  ? row_of(LEAKY_leaky_relu, x, slope, 0, 0)
                              : row_of(LEAKY_relu, x, 0, 0, 0));
    }
    if (!backward) {
        require(n % 8 == 0 || arena[mask + n / 8] >> n % 8 == 0, "idle bits of the mask are not 0");
        memcpy(arena + mask, before + mask, (size_t)((n + 7) / 8));
    }
    nothing_left();
}

/* ---- random numbers */

static void random_numbers(void)
{
    static const double probabilities[] = {0.5, 0, 1, 0.1, 1e-9, 0.999999999, 0x1p-32, 0.3};
    static const uint64_t starts[] = {0, 1, 0xfffffffe, UINT64_MAX - 20};
    const enum leaky_random_kernel kernel = (enum leaky_random_kernel)choose(LEAKY_RANDOM_KERNELS);
    const int dims = (int)choose(4), numbered = (int)choose(2), large = choose(32) == 0;
    ptrdiff_t shape[4], n = 1;
    uint64_t strides[4], stride = 1, highest = 0;

    what = "random";
    begin();
    for (int d = dims; d-- > 0; stride *= (uint64_t)shape[d]) {
        shape[d] = large && d == dims - 1 ? 16384 + choose(5000) : choose(4) == 0 ? choose(600) : choose(8);
        if (n * shape[d] > LONGEST)
            shape[d] = 1;
        n *= shape[d];
        strides[d] = numbered ? stride : (uint64_t)choose(70000);
        highest += shape[d] ? (uint64_t)(shape[d] - 1) * strides[d] : 0;
    }
    const ptrdiff_t in = place(n * size), second = place(n * size), where = choose(3);
    const ptrdiff_t out = where == 0 ? place(n * size) : where == 1 || kernel != LEAKY_RRELU_BACKWARD ? in : second;
    const uint64_t seed = (uint64_t)choose(65536) * 0x10001000100010u, first = starts[choose(4)] + (uint64_t)choose(256);
    const uint64_t start = first > UINT64_MAX - highest ? UINT64_MAX - highest : first;
    const double p = probabilities[choose(8)], lower = rounded(choose_number()), upper = rounded(choose_number());
    const struct leaky_random call = {.in = {(char *)arena + in, (char *)arena + second}, .out = (char *)arena + out, .seed = seed,
                                      .start = start, .stream = (uint64_t)choose(2), .p = p, .lower = lower, .upper = upper};
    random_state = seed;
    fill(0, top + GUARD, dtype, 0);
    chosen();
    guard();
    leaky_run_random(kernel, dtype, &call, dims, shape, strides);
    unguard();
    for (ptrdiff_t i = 0; i < n; i++) {
        const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
        uint32_t words[4];
        uint64_t index = start;
        for (ptrdiff_t d = dims, rest = i; d-- > 0; rest /= shape[d])
            index += (uint64_t)(rest % shape[d]) * strides[d];
        const uint64_t block = index / 4;
        const uint32_t counter[4] = {(uint32_t)block, (uint32_t)(block >> 32), (uint32_t)call.stream, 0};
        philox(counter, key, words);
        const uint32_t word = words[index % 4];
        if (kernel == LEAKY_DROPOUT) {
            const int dropped = word < (uint64_t)(p * 0x1p32);
            take(out, i, dropped ? 0 : row_of(LEAKY_scaled, old(in, i), rounded(1 / (1 - p)), 0, 0));
        } else {
            const double range = rounded(upper - lower), u = (word >> 8) * 0x1p-24, slope = rounded(lower + rounded(range * u));
            take(out, i, kernel == LEAKY_RRELU ? row_of(LEAKY_leaky_relu, old(in, i), slope, 0, 0)
                                               : row_of(LEAKY_leaky_relu_backward, old(in, i), old(second, i), slope, 0));
        }
    }
    nothing_left();
}

/* ---- gradients with sums */

/* A sum as a loop would find it, and of magnitudes. */
struct sum {
    double value, magnitudes;
};
static struct sum sums[LONGEST];

static void add_to(struct sum *sum, double term)
{
    sum->value += term;
    sum->magnitudes += fabs(term);
}

/* Where the terms are finite a sum is what a loop finds, within the roundings; everywhere it is to the bit what one thread finds
 * with the scalar kernels. */
static void check_sums(ptrdiff_t at, ptrdiff_t count)
{
    for (ptrdiff_t k = 0; k < count; k++) {
        double sum;
        memcpy(&sum, arena + at + 8 * k, 8);
        if (sums[k].magnitudes < 1e300)
            require(fabs(sum - sums[k].value) <= 1e-11 * sums[k].magnitudes, "a sum is wrong");
    }
    agree_all(at, count, LEAKY_F64);
}

static void prelu(void)
{
    const int how = (int)choose(3);
    const int count = how ? 3 : 3 + 2 * (int)choose(3), of_each = how == 1, by_number = how == 2;
    ptrdiff_t groups[7], n = 1, weights = 1;
    double number = choose_number();

    what = "prelu_backward";
    begin();
    if (how)
        n = weights = choose_length(LONGEST);
    else
        for (int d = 0; d < count; d++) {
            const ptrdiff_t kind = choose(32);
            groups[d] = kind == 0 ? choose(10000) : kind < 4 ? choose(300) : kind < 20 ? 1 + choose(6) : 1;
            if (n * groups[d] > LONGEST || weights * groups[d] >= LONGEST) /* n may be 0 */
                groups[d] = 1;
            n *= groups[d];
            weights *= d % 2 ? groups[d] : 1;
        }
    if (by_number)
        weights = 1;
    const ptrdiff_t grad = place(n * size), x = place(n * size), weight = place(weights * size), where = choose(3);
    const ptrdiff_t dx = where == 0 ? grad : where == 1 ? x : place(n * size);
    const ptrdiff_t result = of_each ? place(n * size) : place_doubles(weights);
    const int finite = choose(3) != 0;
    random_state = (uint64_t)choose(256);
    fill(0, top + GUARD, dtype, finite);
    memcpy(expected, arena, (size_t)(top + GUARD));
    guard();
    for (int pass = 0; pass < 2; pass++) {
        char *const g = (char *)arena + grad, *const to = (char *)arena + dx;
        const char *const in = (char *)arena + x, *const w = (char *)arena + weight;
        int status = 0;
        if (pass)
            chosen();
        else
            plain();
        if (of_each)
            leaky_run_prelu_backward_each(dtype, g, in, w, to, (char *)arena + result, n);
        else if (by_number)
            status = leaky_run_prelu_backward_number(dtype, g, in, number, to, (double *)(arena + result), n);
        else
            status = leaky_run_prelu_backward(dtype, g, in, w, to, (double *)(arena + result), groups, count);
        require(!status, "no memory");
        if (!pass)
            expect_this();
    }
    unguard();
    memset(sums, 0, (size_t)(weights + 1) * sizeof *sums);
    for (ptrdiff_t i = 0; i < n; i++) {
        ptrdiff_t of = 0;
        if (of_each)
            of = i;
        else if (!by_number)
            for (ptrdiff_t d = count - 1, scale = 1, rest = i; d >= 0; rest /= groups[d--])
                if (d % 2) {
                    of += rest % groups[d] * scale;
                    scale *= groups[d];
                }
        const double a = old(grad, i), b = old(x, i), slope = by_number ? rounded(number) : old(weight, of);
        require(is_result(arena + dx + i * size, row_of(LEAKY_leaky_relu_backward, a, b, slope, 0)), "dx is wrong");
        if (of_each)
            require(is_result(arena + result + i * size, row_of(LEAKY_prelu_weight_grad, a, b, 0, 0)), "dweight is wrong");
        else
            add_to(&sums[of], row_in(LEAKY_F64, LEAKY_prelu_weight_grad, a, b, 0, 0));
    }
    agree_all(dx, n, dtype);
    if (of_each)
        agree_all(result, n, dtype);
    else
        check_sums(result, weights);
    nothing_else_changed();
}

/* ---- bias + activation */

static enum leaky_row row_for(enum leaky_activation activation)
{
    static const enum leaky_row rows[LEAKY_ACTIVATIONS] = {LEAKY_leaky_relu, LEAKY_relu, LEAKY_leaky_relu, LEAKY_elu, LEAKY_selu};
    return rows[activation];
}

static double activated(enum leaky_activation activation, double x, double slope)
{
    return row_of(row_for(activation), x, slope, 0, 0);
}

struct shape {
    ptrdiff_t outer, channels, inner, n;
};

static struct shape choose_shape(void)
{
    struct shape shape = {1 + choose(12), 1 + choose(12), choose(3) ? 1 + choose(24) : 1, 0};
    const ptrdiff_t kind = choose(64);
    if (kind == 0)
        shape.inner = 4096 + choose(9000);
    else if (kind == 1)
        shape.channels = 1 + choose(3000);
    else if (kind == 2)
        shape.outer = 1 + choose(3000);
    else if (kind == 3)
        shape.inner = 256 + choose(300);
    else if (kind == 4)
        shape.outer = 0;
    if (shape.outer * shape.channels * shape.inner > LONGEST)
        shape.outer = LONGEST / (shape.channels * shape.inner);
    if (!shape.outer && kind != 4)
        shape = (struct shape){1, 1 + choose(9), 1 + choose(9), 0};
    shape.n = shape.outer * shape.channels * shape.inner;
    return shape;
}

static const double gains[] = {1, 1.4142135623730951, 0.75, -2}, clamps[] = {INFINITY, 256, 0.7, 0, 1e-40};

static void bias_act(void)
{
    const enum leaky_activation activation = (enum leaky_activation)choose(LEAKY_ACTIVATIONS);
    const struct shape shape = choose_shape();
    const ptrdiff_t n = shape.n;
    const int has_bias = choose(4) != 0, has_mask = (int)choose(2);
    const double gain = rounded(gains[choose(4)]), clamp = rounded(clamps[choose(5)]), number = rounded(choose_number());
    const double slope = activation == LEAKY_LINEAR || activation == LEAKY_ELU ? 1 : number;

    what = "bias_act";
    begin();
    const ptrdiff_t x = place(n * size), bias = place(shape.channels * size), mask = place((n + 7) / 8);
    const ptrdiff_t y = choose(2) ? x : place(n * size);
    const struct leaky_bias_act call = {.x = (char *)arena + x, .bias = has_bias ? (char *)arena + bias : NULL, .y = (char *)arena + y,
                                        .mask = has_mask ? arena + mask : NULL, .channels = shape.channels, .inner = shape.inner,
                                        .slope = number, .gain = gain, .clamp = clamp};
    random_state = (uint64_t)choose(256);
    fill(0, top + GUARD, dtype, 0);
    chosen();
    guard();
    if (has_bias && n > 0 && choose(3) == 0) { /* around the caches, as the driver does only with large results */
        struct leaky_bias_act around = call;
        around.slope = slope;
        around.stream = 1;
        leaky_fused_kernels[isa][dtype]->bias_act[activation](&around, 0, n);
    } else
        require(!leaky_run_bias_act(activation, dtype, &call, n), "no memory");
    unguard();
    for (ptrdiff_t i = 0; i < n; i++) {
        const double sum = rounded(old(x, i) + (has_bias ? old(bias, i / shape.inner % shape.channels) : -0.0));
        const double scaled = rounded(activated(activation, sum, slope) * gain);
        const double least = 0 - clamp, above = isgreater(least, scaled) ? least : scaled; /* +0.0 where the clamp is 0 */
        if (has_mask)
            require(bit(arena + mask, i) == (sum > 0), "a bit is wrong");
        take(y, i, isless(clamp, above) ? clamp : above);
    }
    if (has_mask) {
        require(n % 8 == 0 || arena[mask + n / 8] >> n % 8 == 0, "idle bits of the mask are not 0");
        memcpy(arena + mask, before + mask, (size_t)((n + 7) / 8));
    }
    nothing_left();
}

static double largest_below(double number)
{
    double result;
    chosen();
    result = leaky_largest_below(number, dtype);
    if (dtype == LEAKY_F64)
        require(result == (number > 0 ? nextafter(number, -1) : -1), "not the largest below");
    else if (number > 0) {
        const float stored = leaky_as_stored((float)number, dtype), above = result < 0 ? 0 : nextafterf((float)result, INFINITY);
        require(result < 0 || leaky_as_stored((float)result, dtype) < stored, "not below");
        require(leaky_as_stored(above, dtype) >= stored, "not the largest below");
    }
    return result;
}

static void bias_act_backward(void)
{
    static const enum leaky_row from_x[LEAKY_ACTIVATIONS] = {LEAKY_leaky_relu_backward, LEAKY_relu_backward, LEAKY_leaky_relu_backward,
                                                             LEAKY_elu_backward, LEAKY_selu_backward};
    static const enum leaky_row from_output[LEAKY_ACTIVATIONS] = {LEAKY_leaky_relu_backward, LEAKY_relu_backward,
                                                                  LEAKY_leaky_relu_backward, LEAKY_elu_backward_from_output,
                                                                  LEAKY_selu_backward_from_output};
    const enum leaky_activation activation = (enum leaky_activation)choose(LEAKY_ACTIVATIONS);
    const struct shape shape = choose_shape();
    const ptrdiff_t n = shape.n, from = choose(4);
    const int exponential = activation >= LEAKY_ELU, has_bias = choose(4) != 0;
    const int has_x = from == 0, has_output = from == 1 || from == 2, has_mask = from >= 2, has_gg = has_x && exponential && choose(2);
    const double gain = rounded(gains[choose(3)]), clamp = rounded(clamps[choose(5)]), number = rounded(choose_number());
    const double slope = activation == LEAKY_LINEAR || activation == LEAKY_ELU ? 1 : number;
    const double bound = isfinite(clamp) ? largest_below(clamp) : 0;
    const ptrdiff_t channels = has_bias ? shape.channels : 1;

    what = "bias_act_backward";
    begin();
    const ptrdiff_t grad = place(n * size), x = place(n * size), bias = place(shape.channels * size), gg = place(n * size);
    const ptrdiff_t mask = place((n + 7) / 8), result = place_doubles(channels), where = choose(3);
    const ptrdiff_t dx = where == 0 ? grad : where == 1 ? x : place(n * size);
    char *const data = (char *)arena;
    const struct leaky_gradients call = {.grad = data + grad, .x = has_x ? data + x : NULL, .output = has_output ? data + x : NULL,
                                         .mask = has_mask ? arena + mask : NULL, .gg = has_gg ? data + gg : NULL, .dx = data + dx,
                                         .parameter = has_bias ? data + bias : NULL, .outer = shape.outer, .channels = shape.channels,
                                         .inner = shape.inner, .slope = number, .gain = gain, .clamp = clamp};
    random_state = (uint64_t)choose(256);
    fill(0, top + GUARD, dtype, choose(3) != 0);
    guard();
    for (int pass = 0; pass < 2; pass++) {
        if (pass)
            chosen();
        else
            plain();
        require(!leaky_run_bias_act_backward(activation, dtype, &call, (double *)(arena + result)), "no memory");
        if (!pass)
            expect_this();
    }
    unguard();
    memset(sums, 0, (size_t)channels * sizeof *sums);
    for (ptrdiff_t i = 0; i < n; i++) {
        const ptrdiff_t channel = has_bias ? i / shape.inner % shape.channels : 0;
        const double g = rounded(old(grad, i) * gain), in = old(x, i);
        double y = 0, want;
        if (has_x) {
            const double sum = rounded(in + (has_bias ? old(bias, channel) : -0.0));
            want = !has_gg                     ? row_of(from_x[activation], g, sum, slope, 0)
                   : activation == LEAKY_SELU  ? row_of(LEAKY_selu_double_backward, old(gg, i), g, sum, 0)
                                               : row_of(LEAKY_elu_double_backward, old(gg, i), g, sum, slope);
            y = rounded(activated(activation, sum, slope) * gain);
        } else {
            double side = 0;
            if (has_output) {
                y = in;
                side = exponential ? rounded(y / gain) : y;
            }
            if (has_mask)
                side = bit(before + mask, i) ? 1 : isless(0, side) ? 0 : side;
            want = row_of(from_output[activation], g, side, slope, 0);
        }
        if (isfinite(clamp) && fabs(y) > bound)
            want = 0;
        require(is_result(arena + dx + i * size, want), "dx is wrong");
        add_to(&sums[channel], want);
    }
    agree_all(dx, n, dtype);
    check_sums(result, channels);
    nothing_else_changed();
}

/* ---- reductions */

static void norms(void)
{
    const enum leaky_norm norm = (enum leaky_norm)choose(3);
    const ptrdiff_t n = choose(32) ? choose_length(LONGEST) : LEAKY_NORM_BLOCK * 15 + choose(9000);
    const int kind = (int)choose(3);
    long double sum = 0;
    double value[2];
    int exponent[2], is_nan = 0;

    what = "norm";
    begin();
    const ptrdiff_t x = place(n * size);
    random_state = (uint64_t)choose(256);
    if (kind < 2)
        fill(x, n * size, dtype, kind);
    else
        memset(arena + x, 0, (size_t)(n * size));
    guard();
    for (int pass = 0; pass < 2; pass++) {
        if (pass)
            chosen();
        else
            plain();
        require(!leaky_run_norm(norm, dtype, (char *)arena + x, n, &value[pass], &exponent[pass]), "no memory");
    }
    unguard();
    for (ptrdiff_t i = 0; i < n; i++) {
        const long double a = fabsl((long double)old(x, i));
        is_nan |= isnan(a);
        sum = norm == LEAKY_NORM_MAX ? (a > sum ? a : sum) : sum + (norm == LEAKY_NORM_2 ? a * a : a);
    }
    const long double want = norm == LEAKY_NORM_2 ? sqrtl(sum) : sum, got = ldexpl(value[1], exponent[1]);
    if (is_nan)
        require(isnan(value[1]), "NaN was lost");
    else
        require(got == want || (!isinf(want) && fabsl(got - want) <= 1e-12L * want), "a norm is wrong");
    require(canonical((unsigned char *)&value[0], LEAKY_F64) == canonical((unsigned char *)&value[1], LEAKY_F64) &&
                exponent[0] == exponent[1],
            "ISA or threads change a norm");
    nothing_left();
}

static void units(void)
{
    static const double thresholds[] = {0, -1, 0.5, 1e30, 0.1, -INFINITY, NAN, 1e300};
    const struct shape shape = choose_shape();
    const ptrdiff_t n = shape.n, channels = shape.channels;
    const int count = 1 + (int)choose(LEAKY_MOST_THRESHOLDS), first = (int)choose(5);

    what = "units";
    begin();
    const ptrdiff_t x = place(n * size), counts = place_doubles(count * channels), moments = place_doubles(2 * channels);
    const ptrdiff_t mask = place((n + 7) / 8), bits = place_doubles(channels);
    random_state = (uint64_t)choose(256);
    fill(0, top + GUARD, dtype, choose(3) != 0);
    for (ptrdiff_t k = 0; k < 2 * channels; k++) {
        const double begun = (double)(k % 5);
        memcpy(arena + moments + 8 * k, &begun, 8);
    }
    memset(arena + counts, 0, (size_t)(8 * count * channels));
    memset(arena + bits, 0, (size_t)(8 * channels));
    guard();
    for (int pass = 0; pass < 2; pass++) {
        if (pass)
            chosen();
        else
            plain();
        require(!leaky_add_units(dtype, (char *)arena + x, shape.outer, channels, shape.inner, thresholds + first, count,
                                 (int64_t *)(arena + counts), (double *)(arena + moments)),
                "no memory");
        leaky_add_mask(arena + mask, shape.outer, channels, shape.inner, (int64_t *)(arena + bits));
        if (!pass)
            expect_this();
    }
    unguard();
    int64_t *const found = (int64_t *)(arena + counts), *const set = (int64_t *)(arena + bits);
    memset(sums, 0, (size_t)(2 * channels) * sizeof *sums);
    for (ptrdiff_t k = 0; k < 2 * channels; k++)
        add_to(&sums[k], (double)(k % 5));
    for (ptrdiff_t i = 0; i < n; i++) {
        const ptrdiff_t channel = i / shape.inner % channels;
        const double a = old(x, i);
        for (int t = 0; t < count; t++)
            found[t * channels + channel] -= a > rounded(thresholds[first + t]);
        add_to(&sums[channel], a);
        add_to(&sums[channels + channel], a * a);
        set[channel] -= bit(before + mask, i);
    }
    for (ptrdiff_t k = 0; k < count * channels; k++)
        require(found[k] == 0, "a count is wrong");
    for (ptrdiff_t k = 0; k < channels; k++)
        require(set[k] == 0, "a count of bits is wrong");
    memcpy(arena + counts, expected + counts, (size_t)(8 * count * channels));
    memcpy(arena + bits, expected + bits, (size_t)(8 * channels));
    check_sums(moments, 2 * channels);
    nothing_else_changed();
}

/* ---- memory: every block holds what its owner wrote, whatever is taken, resized and given around it */

static void memory(void)
{
    enum { HELD = 6 };
    static const size_t limits[] = {0, 1 << 16, 1 << 20, 16 << 20};
    static const size_t too_large[] = {SIZE_MAX, SIZE_MAX / 2, SIZE_MAX / 2 + 1, SIZE_MAX - 4096, SIZE_MAX - (3 << 20)};
    unsigned char *blocks[HELD] = {0};
    size_t held[HELD] = {0};

    what = "memory";
    for (ptrdiff_t left = 1 + choose(40); left > 0; left--) {
        const ptrdiff_t k = choose(HELD), kind = choose(12);
        const size_t any = kind == 11 ? (size_t)choose(4) << 20 : (size_t)(choose(4) ? choose(20000) : choose(65536) * 4);
        const size_t bytes = kind == 7 ? any / 8 * 8 : any;
        unsigned char *block = NULL;
        if (kind == 0)
            leaky_memory_clear();
        else if (kind == 1)
            leaky_memory_set_limit(limits[choose(4)]);
        else if (kind == 2)
            leaky_memory_trim();
        else if (kind == 3) {
            const size_t size_of_all = too_large[choose(5)];
            require(!leaky_memory_take(size_of_all) && !leaky_memory_resize(blocks[k], size_of_all) &&
                        !leaky_memory_take_zeros(size_of_all, 1) && !leaky_memory_take_zeros(size_of_all / 8 + 1, 16),
                    "memory that no machine has");
        } else if (kind < 6) {
            leaky_memory_give(blocks[k]);
            blocks[k] = NULL;
        } else if (kind == 6) {
            require((block = leaky_memory_resize(blocks[k], bytes)) != NULL, "no memory");
            for (size_t i = 0; i < bytes && i < held[k] && blocks[k]; i += 1 + bytes / 64)
                require(block[i] == 'a' + k, "resizing lost what a block held");
        } else {
            require((block = kind == 7 ? leaky_memory_take_zeros(bytes / 8, 8) : leaky_memory_take(bytes)) != NULL, "no memory");
            for (size_t i = 0; kind == 7 && i < bytes; i++)
                require(block[i] == 0, "not zeros");
            leaky_memory_give(blocks[k]);
        }
        if (block) {
            memset(block, 'a' + (int)k, bytes);
            blocks[k] = block;
            held[k] = bytes;
        }
        const struct leaky_memory_info info = leaky_memory_info();
        require(info.cached <= info.limit && !info.blocks == !info.cached, "the account of the memory is wrong");
        for (int other = 0; other < HELD; other++)
            for (size_t i = 0; blocks[other] && i < held[other]; i += 1 + held[other] / 64)
                require(blocks[other][i] == 'a' + other, "a block has changed");
    }
    for (int k = 0; k < HELD; k++)
        leaky_memory_give(blocks[k]);
    leaky_memory_set_limit(16 << 20);
}

/* ---- */

static void (*const targets[])(void) = {elementwise, elementwise, elementwise, layout, layout, masked, random_numbers, prelu,
                                        bias_act, bias_act_backward, bias_act_backward, norms, units, units, memory};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    input = data;
    input_left = length;
    const ptrdiff_t target = choose(sizeof targets / sizeof *targets);
    dtype = (enum leaky_dtype)choose(LEAKY_DTYPES);
    size = sizes[dtype];
    threads = 1 + (int)choose(4);
    for (isa = (enum leaky_isa)choose(LEAKY_ISAS); !leaky_isa_supported(isa);)
        isa = (enum leaky_isa)((isa + 1) % LEAKY_ISAS);
    targets[target]();
    return 0;
}

#if !defined(LEAKY_LIBFUZZER)
int main(int count, char **arguments)
{
    uint64_t state = 1;
    for (long left = count > 1 ? atol(arguments[1]) : 20000; left > 0; left--) {
        uint8_t bytes[256];
        random_state = state;
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (uint8_t)next_random();
        state = next_random();
        LLVMFuzzerTestOneInput(bytes, sizeof bytes);
    }
    return 0;
}
#endif
