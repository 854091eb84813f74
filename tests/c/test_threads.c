/* The pool: that every chunk runs once and by nobody else, from several callers at once, across fork, and while the pool grows
 * and shrinks; that every row gives the same bytes for any number of threads; that recycled memory has one owner at
 * a time.  Also run under ThreadSanitizer. */
#include "../../src/leaky.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHUNKS 4095

static void expect(int ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "threads: %s\n", what);
        exit(1);
    }
}

struct count {
    int taken[CHUNKS], members; /* plain: a second thread on one chunk is a race */
    atomic_int highest;
};

static void take(void *context, ptrdiff_t chunk, int member)
{
    struct count *const count = context;
    count->taken[chunk]++;
    int highest = atomic_load(&count->highest);
    while (highest < member && !atomic_compare_exchange_weak(&count->highest, &highest, member))
        ;
}

static void run_once(ptrdiff_t chunks, int threads)
{
    struct count count = {{0}, 0, 0};
    leaky_parallel(take, &count, chunks, threads);
    for (ptrdiff_t i = 0; i < CHUNKS; i++)
        expect(count.taken[i] == (i < chunks), "a chunk was not taken once");
    expect(atomic_load(&count.highest) < threads, "more threads took part than were asked for");
}

static void *caller(void *argument)
{
    for (int i = 0; i < 300; i++)
        run_once((ptrdiff_t)(1 + (i * 37 + (intptr_t)argument * 11) % CHUNKS), 1 + i % 4);
    return NULL;
}

#if !defined(__SANITIZE_THREAD__) /* which has no fork from several threads */
static void fork_and_run(void)
{
    const pid_t child = fork();
    if (!child) {
        for (int i = 0; i < 20; i++)
            run_once(100, 3);
        leaky_set_threads(2);
        _exit(0);
    }
    int status = 1;
    expect(waitpid(child, &status, 0) == child && status == 0, "a forked child failed");
}

static atomic_int stop_forking;

static void *keep_busy(void *argument)
{
    while (!atomic_load(&stop_forking))
        run_once(50, 3);
    return argument;
}

static void forks(void)
{
    pthread_t thread;
    fork_and_run();
    expect(!pthread_create(&thread, NULL, keep_busy, NULL), "no thread");
    for (int i = 0; i < 200; i++)
        fork_and_run();
    atomic_store(&stop_forking, 1);
    pthread_join(thread, NULL);
}
#else
static void forks(void) {}
#endif

enum { ELEMENTS = 500000 };

/* Any bytes will do for the inputs as long as none is a NaN, of which the loops need not keep the same payload. */
static void same_bytes(void)
{
    static double inputs[LEAKY_MAX_INPUTS][ELEMENTS], one[ELEMENTS], several[ELEMENTS];
    static const ptrdiff_t sizes[LEAKY_DTYPES] = {2, 2, 4, 8};
    uint64_t state = 1;
    for (int k = 0; k < LEAKY_MAX_INPUTS; k++)
        for (int i = 0; i < ELEMENTS; i++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            const uint64_t finite = state & 0xbfffbfffbfffbfff; /* for every dtype */
            memcpy(&inputs[k][i], &finite, 8);
        }
    for (int row = 0; row < LEAKY_ROWS; row++)
        for (int dtype = 0; dtype < LEAKY_DTYPES; dtype++) {
            const int operands = leaky_rows[row].inputs + 1;
            for (int threads = 1; threads < 8; threads += threads < 3 ? 1 : 4) {
                struct leaky_axis axes[2] = {{1000, {0}}, {ELEMENTS / 1000, {0}}};
                char *args[LEAKY_MAX_INPUTS + 1];
                double *const out = threads == 1 ? one : several;
                for (int k = 0; k < operands; k++) {
                    args[k] = k + 1 < operands ? (char *)inputs[k] : (char *)out;
                    axes[0].steps[k] = sizes[dtype];
                    axes[1].steps[k] = 1000 * sizes[dtype];
                }
                leaky_limit_threads(threads);
                memset(out, 0, sizeof one);
                leaky_run_layout(args, 2, axes, &leaky_entries[0][row][dtype]);
                expect(!memcmp(one, out, sizeof one), "the number of threads changes a result");
                const ptrdiff_t n = ELEMENTS;
                memset(several, 0, sizeof several);
                args[operands - 1] = (char *)several;
                leaky_run(args, &n, axes[0].steps, (void *)&leaky_entries[0][row][dtype]);
                expect(!memcmp(one, several, sizeof one), "two axes are not one");
            }
        }
    leaky_limit_threads(0);
}

static void *take_and_give(void *argument)
{
    char *blocks[4] = {0};
    for (int i = 0; i < 2000; i++) {
        char **const block = &blocks[i % 4];
        const size_t size = (size_t)(1 + (i * 7 + (intptr_t)argument) % 5) << 18;
        if (*block)
            expect(**block == (char)(intptr_t)argument, "a block has two owners");
        leaky_memory_give(*block);
        *block = leaky_memory_take(size);
        expect(*block != NULL, "no memory");
        **block = (char)(intptr_t)argument;
        (*block)[size - 1] = 1;
        if (i % 100 == 0)
            leaky_memory_trim();
    }
    for (int i = 0; i < 4; i++)
        leaky_memory_give(blocks[i]);
    return NULL;
}

/* The first block that is kept wakes a worker, whether the pool is just starting, stopping or neither. */
static atomic_int stop_giving;

static void *give_first_blocks(void *argument)
{
    while (!atomic_load(&stop_giving)) {
        leaky_memory_clear();
        leaky_memory_give(leaky_memory_take(1));
    }
    return argument;
}

int main(void)
{
    pthread_t threads[8];

    if (leaky_choose_isa())
        expect(0, "PYLEAKY_ISA names no supported ISA");

    for (int n = 1; n <= 8; n++)
        for (ptrdiff_t chunks = 0; chunks < 40; chunks++)
            run_once(chunks, n);
    run_once(CHUNKS, LEAKY_MAX_THREADS);
    for (intptr_t i = 0; i < 8; i++)
        expect(!pthread_create(&threads[i], NULL, caller, (void *)i), "no thread");
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    expect(!pthread_create(&threads[0], NULL, give_first_blocks, NULL), "no thread");
    for (int i = 0; i < 1000; i++) {
        leaky_set_threads(1 + i % 5);
        run_once(20, 1 + i % 5);
    }
    atomic_store(&stop_giving, 1);
    pthread_join(threads[0], NULL);
    forks();
    same_bytes();
    for (intptr_t i = 0; i < 4; i++)
        expect(!pthread_create(&threads[i], NULL, take_and_give, (void *)i), "no thread");
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    leaky_memory_clear();
    expect(leaky_memory_info().cached == 0, "memory is left in the cache");
    leaky_set_threads(1);
    expect(leaky_available_threads() >= 1, "no CPU");
    expect(leaky_limit_threads(3) == 0 && leaky_get_threads() == 3 && leaky_limit_threads(0) == 3, "the caller's limit");
    expect(leaky_get_threads() == 1, "the number for all");
    return 0;
}
