/* What the core asks of the machine, and what it does where the machine refuses: memory, threads, CPUs, cgroups, instruction sets.
 * The linker puts the __wrap_ functions of this file in the place of the system's (-Wl,--wrap), so that each can fail or
 * lie.  Linux only. */
#define _GNU_SOURCE
#include "../../src/leaky.h"

#include <errno.h>
#include <fenv.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void expect(int ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "machine: %s\n", what);
        exit(1);
    }
}

/* ---- the system's functions; a count says how many more calls succeed, -1 that all do */

static int allocations = -1, mappings = -1, creations = -1;
static atomic_llong later; /* nanoseconds, by which the coarse clock is ahead */
static atomic_llong early; /* and the clock of timeouts behind */
static int cpus = -1;      /* as many in the affinity mask; 0: asking for it fails */
static long online = -1;
static int no_sysconf, this_cpu = -1, moves_fail;

static int fails(int *left) { return *left == 0 || (*left > 0 && (*left)-- == 0); }

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size) { return fails(&allocations) ? NULL : __real_malloc(size); }

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size) { return fails(&allocations) ? NULL : __real_calloc(count, size); }

void *__real_mmap(void *address, size_t length, int protection, int flags, int file, off_t offset);
void *__wrap_mmap(void *address, size_t length, int protection, int flags, int file, off_t offset);
void *__wrap_mmap(void *address, size_t length, int protection, int flags, int file, off_t offset)
{
    return fails(&mappings) ? MAP_FAILED : __real_mmap(address, length, protection, flags, file, offset);
}

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument)
{
    return fails(&creations) ? EAGAIN : __real_pthread_create(thread, attributes, start, argument);
}

int __real_clock_gettime(clockid_t clock, struct timespec *time);
int __wrap_clock_gettime(clockid_t clock, struct timespec *time);
int __wrap_clock_gettime(clockid_t clock, struct timespec *time)
{
    const int status = __real_clock_gettime(clock, time);
    if (clock == CLOCK_MONOTONIC_COARSE)
        time->tv_sec += (time_t)(atomic_load(&later) / 1000000000);
    if (clock == CLOCK_REALTIME) {
        const long long nanoseconds = time->tv_sec * 1000000000LL + time->tv_nsec - atomic_load(&early);
        *time = (struct timespec){(time_t)(nanoseconds / 1000000000), (long)(nanoseconds % 1000000000)};
    }
    return status;
}

/* Where a thread stops until it may go on: once it has the mutex, before it starts workers, or after trimming the cache. */
enum place { NOWHERE, LOCKING, STARTING, TRIMMING };
static _Thread_local enum place stops_at;
static atomic_int stopped, may_go_on;

static void stop_here(enum place place)
{
    if (place != stops_at)
        return;
    stops_at = NOWHERE;
    atomic_store(&stopped, 1);
    while (!atomic_load(&may_go_on))
        sched_yield();
}

int __real_pthread_mutex_lock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
    const int status = __real_pthread_mutex_lock(mutex);
    stop_here(LOCKING);
    return status;
}

static atomic_int gives_meanwhile, stops_trimming;

int __real_leaky_memory_trim(void);
int __wrap_leaky_memory_trim(void);
int __wrap_leaky_memory_trim(void)
{
    const int left = __real_leaky_memory_trim();
    if (atomic_exchange(&gives_meanwhile, 0))
        leaky_memory_give(leaky_memory_take(1));
    if (atomic_exchange(&stops_trimming, 0))
        stops_at = TRIMMING;
    stop_here(TRIMMING);
    return left;
}

int __real_sched_getaffinity(pid_t process, size_t bytes, cpu_set_t *set);
int __wrap_sched_getaffinity(pid_t process, size_t bytes, cpu_set_t *set);
int __wrap_sched_getaffinity(pid_t process, size_t bytes, cpu_set_t *set)
{
    if (cpus < 0)
        return __real_sched_getaffinity(process, bytes, set);
    CPU_ZERO(set);
    for (int cpu = 0; cpu < cpus; cpu++)
        CPU_SET(cpu, set);
    return cpus ? 0 : -1;
}

int __wrap_sched_getcpu(void);
int __wrap_sched_getcpu(void)
{
    stop_here(STARTING);
    return this_cpu;
}

int __wrap_pthread_setaffinity_np(pthread_t thread, size_t bytes, const cpu_set_t *set);
int __wrap_pthread_setaffinity_np(pthread_t thread, size_t bytes, const cpu_set_t *set)
{
    (void)thread, (void)bytes, (void)set;
    return moves_fail ? EINVAL : 0;
}

long __real_sysconf(int name);
long __wrap_sysconf(int name);
long __wrap_sysconf(int name)
{
    return name == _SC_NPROCESSORS_ONLN && online >= 0 ? online : name == _SC_PHYS_PAGES && no_sysconf ? -1 : __real_sysconf(name);
}

/* Files below /proc and /sys: pairs of a path and what is in it. */
static const char *const *files;
FILE *__real_fopen(const char *path, const char *mode);
FILE *__wrap_fopen(const char *path, const char *mode);
FILE *__wrap_fopen(const char *path, const char *mode)
{
    if (!files)
        return __real_fopen(path, mode);
    for (const char *const *file = files; *file; file += 2)
        if (!strcmp(*file, path))
            return fmemopen((void *)file[1], strlen(file[1]), mode);
    return NULL;
}

/* ---- limits */

static void limits(void)
{
    static const char *const none[] = {NULL};
    static const char *const version_2[] = {"/proc/self/cgroup", "0::/a/b\n",
                                            "/sys/fs/cgroup/a/b/cpu.max", "max 100000\n",
                                            "/sys/fs/cgroup/a/cpu.max", "250000 100000\n",
                                            "/sys/fs/cgroup/cpu.max", "500000 100000\n",
                                            "/sys/fs/cgroup/a/b/memory.max", "max\n",
                                            "/sys/fs/cgroup/a/memory.max", "8388608\n", NULL};
    static const char *const version_1[] = {"/proc/self/cgroup", "no colon\n5:half a line\n4:memory:/m\n3:cpu,cpuacct:/\n2:pids:/p\n",
                                            "/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "400000\n",
                                            "/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n",
                                            "/sys/fs/cgroup/memory/m/memory.limit_in_bytes", "9223372036854771712\n",
                                            "/sys/fs/cgroup/memory/memory.limit_in_bytes", "4096\n", NULL};
    static const char *const absurd[] = {"/proc/self/cgroup", "0::/\n",
                                         "/sys/fs/cgroup/cpu.max", "9223372036854775807 2\n",
                                         "/sys/fs/cgroup/memory.max", "-3\n", NULL};
    static const char *const without[] = {"/proc/self/cgroup", "0::/\n", "/sys/fs/cgroup/cpu.max", "100000 0\n",
                                          "/sys/fs/cgroup/memory.max", "1099511627776000\n", NULL};
    const size_t all = (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);

    cpus = 8;
    files = none;
    expect(leaky_available_threads() == 8 && leaky_available_memory() == all, "the CPUs and the memory of the machine");
    files = version_2;
    expect(leaky_available_threads() == 3, "a quota of 2.5 CPUs in the cgroup around ours");
    expect(leaky_available_memory() == 8388608, "a limit of memory in the cgroup around ours");
    files = version_1;
    expect(leaky_available_threads() == 4, "a quota of 4 CPUs of cgroup version 1");
    expect(leaky_available_memory() == 4096, "a limit of memory of cgroup version 1");
    cpus = 2;
    expect(leaky_available_threads() == 2, "a quota above the affinity");
    files = absurd;
    expect(leaky_available_threads() == 2 && leaky_available_memory() == all, "a quota that is no limit");
    files = without;
    expect(leaky_available_threads() == 2 && leaky_available_memory() == all, "a quota without a period; more than there is");
    no_sysconf = 1;
    expect(leaky_available_memory() == 1099511627776000, "a limit, but an unknown machine");
    files = none;
    expect(leaky_available_memory() == 0, "an unknown machine");
    no_sysconf = 0;
    cpus = 1000;
    expect(leaky_available_threads() == LEAKY_MAX_THREADS, "a machine with more CPUs than the pool has threads");
    cpus = 0;
    online = 5;
    expect(leaky_available_threads() == 5, "no affinity: the CPUs that are online");
    online = 0;
    expect(leaky_available_threads() == 1, "no CPU at all");
    cpus = -1;
    online = -1;
    files = NULL;
}

/* ---- memory */

static void memory(void)
{
    enum { KEPT = 64 };
    static char *blocks[KEPT + 2];
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), large = (size_t)1 << 20;
    struct leaky_memory_info info = leaky_memory_info();
    expect(info.limit == leaky_available_memory() / 16, "the limit is not a sixteenth of the memory");
    leaky_memory_set_limit(256 * large);

    leaky_memory_give(NULL);
    char *block = leaky_memory_resize(NULL, large);
    memset(block, 'x', large);
    char *const longer = leaky_memory_resize(block, 3 * large);
    expect(longer[0] == 'x' && longer[large - 1] == 'x', "resizing loses what there was");
    char *const shorter = leaky_memory_resize(longer, large / 2);
    expect(shorter[large / 2 - 1] == 'x', "resizing loses what there was");
    leaky_memory_give(shorter);
    leaky_memory_clear();
    info = leaky_memory_info();
    expect(info.cached == 0 && info.blocks == 0, "clearing leaves something");

    /* The smallest that is large enough, and none that is a quarter too large. */
    const size_t ours[3] = {8 * large, 9 * large, 12 * large};
    for (int k = 0; k < 3; k++)
        blocks[k] = leaky_memory_take(ours[k]);
    for (int k = 2; k >= 0; k--)
        leaky_memory_give(blocks[k]);
    expect(leaky_memory_info().cached == 29 * large && leaky_memory_info().blocks == 3, "what is given is not kept");
    expect(leaky_memory_take(8 * large - 1) == blocks[0] && leaky_memory_take(8 * large) == blocks[1], "not the best block");
    block = leaky_memory_take(8 * large);
    expect(block != blocks[2], "a block that is much too large");
    leaky_memory_give(block);
    leaky_memory_give(blocks[0]);
    leaky_memory_give(blocks[1]);

    /* The oldest go: for others, for a lower limit, and after a second. */
    leaky_memory_clear();
    for (int k = 0; k < KEPT + 2; k++)
        blocks[k] = leaky_memory_take(0);
    for (int k = 0; k < KEPT + 2; k++)
        leaky_memory_give(blocks[k]);
    info = leaky_memory_info();
    expect(info.blocks == KEPT && info.cached == KEPT * page, "how many blocks are kept");
    leaky_memory_set_limit(10 * page);
    expect(leaky_memory_info().blocks == 10, "a lower limit");
    leaky_memory_give(leaky_memory_take(11 * page));
    leaky_memory_give(leaky_memory_take(9 * page));
    info = leaky_memory_info();
    expect(info.blocks == 2 && info.cached == 10 * page, "room is made for a block, and none that does not fit is kept");
    expect(leaky_memory_trim() == 1, "fresh blocks are kept");
    atomic_store(&later, 5000000000);
    expect(leaky_memory_trim() == 0 && leaky_memory_info().cached == 0, "old blocks are not given back");
    leaky_memory_set_limit(0);
    leaky_memory_give(leaky_memory_take(1));
    expect(leaky_memory_info().blocks == 0, "switched off, a block is kept");

    /* No memory: with what is kept given back there may be enough. */
    leaky_memory_set_limit(256 * large);
    leaky_memory_give(leaky_memory_take(large));
    mappings = 0;
    expect(!leaky_memory_take(2 * large) && !leaky_memory_take_zeros(large, 2), "memory from nowhere");
    expect(!leaky_memory_resize(NULL, large), "memory from nowhere");
    expect(leaky_memory_info().blocks == 0, "blocks are kept while memory is needed");
    mappings = -1;
    block = leaky_memory_take(large);
    *block = 'y';
    mappings = 0;
    expect(!leaky_memory_resize(block, 2 * large) && *block == 'y', "resizing in vain loses the block");
    mappings = -1;
    leaky_memory_give(block);
    expect(!leaky_memory_take(SIZE_MAX) && !leaky_memory_take(SIZE_MAX / 2) && !leaky_memory_take_zeros(SIZE_MAX / 2, 3),
           "more memory than addresses");
    block = leaky_memory_take_zeros(0, 0);
    expect(block != NULL, "an empty block");
    leaky_memory_give(block);
    block = leaky_memory_take_zeros(3, large);
    for (size_t i = 0; i < 3 * large; i++)
        expect(block[i] == 0, "not zeros");
    leaky_memory_give(block);
}

/* ---- instruction sets */

static void instruction_sets(void)
{
    enum leaky_isa widest = LEAKY_SCALAR;
    for (int isa = 0; isa < LEAKY_ISAS; isa++) {
        const int supported = leaky_isa_supported((enum leaky_isa)isa);
        expect(leaky_use_isa(leaky_isa_names[isa]) == (supported ? 0 : -1), "an ISA is supported, but not used, or the reverse");
        expect(!supported || leaky_isa_in_use() == (enum leaky_isa)isa, "another ISA is used");
        widest = supported ? (enum leaky_isa)isa : widest;
    }
    expect(leaky_use_isa("SCALAR") == -1 && leaky_use_isa("") == -1 && leaky_isa_in_use() == widest, "a name that is none");
    setenv("PYLEAKY_ISA", "scalar", 1);
    expect(!leaky_choose_isa() && leaky_isa_in_use() == LEAKY_SCALAR, "PYLEAKY_ISA is not obeyed");
    setenv("PYLEAKY_ISA", "sse9", 1);
    expect(leaky_choose_isa() == -1 && leaky_isa_in_use() == LEAKY_SCALAR, "PYLEAKY_ISA names no ISA");
    setenv("PYLEAKY_ISA", "", 1);
    expect(!leaky_choose_isa() && leaky_isa_in_use() == widest, "an empty PYLEAKY_ISA");
    unsetenv("PYLEAKY_ISA");
    expect(!leaky_choose_isa() && leaky_isa_in_use() == widest, "not the widest ISA");

#if defined(__x86_64__)
    /* What __builtin_cpu_supports reads, in libgcc and compiler-rt alike; without any one of these bits an ISA is not supported. */
    extern struct {
        unsigned vendor, type, subtype, features;
    } __cpu_model;
    enum { FMA = 14, AVX2 = 10, AVX512F = 15, AVX512VL = 20, AVX512BW = 21, AVX512DQ = 22 };
    static const struct {
        int bit;
        enum leaky_isa isa;
    } needs[] = {{AVX2, LEAKY_AVX2}, {FMA, LEAKY_AVX2}, {AVX512F, LEAKY_AVX512}, {AVX512VL, LEAKY_AVX512}, {AVX512BW, LEAKY_AVX512},
                 {AVX512DQ, LEAKY_AVX512}};
    leaky_isa_supported(LEAKY_AVX2);
    const unsigned features = __cpu_model.features;
    for (size_t k = 0; k < sizeof needs / sizeof *needs; k++) {
        __cpu_model.features = features & ~(1u << needs[k].bit);
        expect(!leaky_isa_supported(needs[k].isa), "an ISA is supported without what it needs");
        __cpu_model.features = features;
    }
#endif
    expect(!leaky_choose_isa() && leaky_isa_in_use() == widest, "the CPU is no longer what it was");
}

/* ---- threads */

static void count_chunk(void *context, ptrdiff_t chunk, int member)
{
    atomic_int *const taken = context;
    (void)member;
    atomic_fetch_add(&taken[chunk], 1);
    struct timespec time = {0, 20000};
    nanosleep(&time, NULL);
}

static void run_all(int threads)
{
    enum { CHUNKS = 60 };
    atomic_int taken[CHUNKS];
    for (int k = 0; k < CHUNKS; k++)
        atomic_init(&taken[k], 0);
    leaky_parallel(count_chunk, taken, CHUNKS, threads);
    for (int k = 0; k < CHUNKS; k++)
        expect(atomic_load(&taken[k]) == 1, "a chunk was not taken once");
}

static const struct timespec pause_50_ms = {0, 50000000};

static void wait_for(int (*condition)(void), const char *what)
{
    for (int left = 200; left > 0 && !condition(); left--)
        nanosleep(&pause_50_ms, NULL);
    expect(condition(), what);
}

static int is_stopped(void) { return atomic_load(&stopped); }
static int has_given(void) { return !atomic_load(&gives_meanwhile); }
static int nothing_cached(void) { return !leaky_memory_info().cached; }

/* ---- a fork at the worst moment: what the child does must not wait for a thread that it does not have */

static void in_child(void (*run)(void), const char *what)
{
    const pid_t child = fork();
    int status = 1;
    if (!child) {
        alarm(20); /* a deadlock */
        run();
        _exit(0);
    }
    expect(waitpid(child, &status, 0) == child && status == 0, what);
}

static void use_everything(void)
{
    leaky_set_threads(3);
    run_all(3);
    atomic_fetch_add(&later, 5000000000);
    wait_for(nothing_cached, "a child does not give back memory");
    leaky_wake_for_idle_work();
}

static void (*call_of_the_other)(void);
static enum place place_of_the_other;

static void *other_thread(void *argument)
{
    stops_at = place_of_the_other;
    call_of_the_other();
    return argument;
}

static void fork_while_it_stops(void)
{
    pthread_t thread;
    atomic_store(&early, 950000000);
    expect(!pthread_create(&thread, NULL, other_thread, NULL), "no thread");
    wait_for(is_stopped, "the other thread does not come to where it stops");
    in_child(use_everything, "a child of a process whose other thread was in the pool");
    atomic_store(&may_go_on, 1);
    pthread_join(thread, NULL);
    use_everything();
}

static void set_threads(void) { leaky_set_threads(2); }
static void run_two(void) { run_all(2); }

static void trim(void)
{
    run_two();
    leaky_memory_set_limit(64 << 20);
    leaky_memory_give(leaky_memory_take(1));
    atomic_store(&stops_trimming, 1);
}

/* Each in a child, where the pool has not been used. */
static void forks(void)
{
    static const struct {
        void (*call)(void);
        enum place place;
        const char *what;
    } moments[] = {{leaky_wake_for_idle_work, LOCKING, "a fork while another thread wakes the worker that trims"},
                   {set_threads, LOCKING, "a fork while another thread sets the number of threads"},
                   {run_two, STARTING, "a fork while another thread starts the first worker"},
                   {trim, NOWHERE, "a fork while a worker trims"}};
    for (size_t k = 0; k < sizeof moments / sizeof *moments; k++) {
        call_of_the_other = moments[k].call;
        place_of_the_other = moments[k].place;
        in_child(fork_while_it_stops, moments[k].what);
    }
}

static void threads(void)
{
    files = NULL;
    cpus = 3;
    const int from_machine = leaky_get_threads();
    expect(from_machine >= 1 && from_machine <= 3, "the number of threads that the machine gives");
    cpus = -1;
    creations = 0;
    run_all(4); /* nobody helps */
    creations = 1;
    run_all(4); /* one does */
    creations = -1;
    for (int round = 0; round < 12; round++) { /* workers that sleep meanwhile are woken and kept off this CPU, if there is another */
        const struct timespec pause = {0, 1000000};
        this_cpu = round % 3 - 1;
        cpus = round % 4 == 3 ? 0 : round % 4 == 2 ? 1 : -1;
        moves_fail = round % 5 == 0;
        run_all(3);
        nanosleep(&pause, NULL);
    }
    cpus = -1;
    leaky_set_threads(1000);
    expect(leaky_get_threads() == LEAKY_MAX_THREADS, "too many threads for all");
    leaky_limit_threads(1000);
    expect(leaky_get_threads() == LEAKY_MAX_THREADS && leaky_limit_threads(0) == LEAKY_MAX_THREADS, "too many for the caller");
    leaky_set_threads(2);
    run_all(2);

    /* A worker gives back what is old; what comes meanwhile does not disturb it. */
    leaky_memory_set_limit(64 << 20);
    leaky_memory_clear();
    run_all(2);
    leaky_memory_give(leaky_memory_take(1 << 20));
    nanosleep(&pause_50_ms, NULL);
    leaky_wake_for_idle_work();
    atomic_fetch_add(&later, 5000000000);
    wait_for(nothing_cached, "an idle worker does not give back memory");
    atomic_store(&early, 950000000);
    atomic_store(&gives_meanwhile, 1);
    leaky_memory_give(leaky_memory_take(1 << 20));
    atomic_fetch_add(&later, 5000000000);
    wait_for(has_given, "an idle worker does not trim");
    atomic_fetch_add(&later, 5000000000);
    wait_for(nothing_cached, "an idle worker forgets what was given back while it trimmed");
    atomic_store(&early, 0);
    leaky_set_threads(1);
    run_all(1);

    /* A call is worth threads if it is long, or one of many. */
    expect(leaky_threads_for(100) == 1 && leaky_threads_for(1000000) == 1, "more threads than one");
    leaky_limit_threads(4);
    expect(leaky_threads_for(100) == 1 && leaky_threads_for(1000000) == 4, "threads for a short and for a long call");
    int some = 0;
    for (int call = 0; call < 20; call++)
        some += leaky_threads_for(10000) == 4;
    expect(some > 0 && some < 20, "threads for a loop of calls");
    expect(leaky_chunks_for(1, 4) == 4 && leaky_chunks_for(INT64_MAX / 2, 4) == 4000, "how many chunks");
    leaky_limit_threads(0);
}

/* ---- the floating-point environment of a caller, vectors' and x87's */

static void environments(void)
{
    struct leaky_environment caller, inner;
    volatile double zero = 0, result = 1;
    volatile long double wide = 1;

    fesetround(FE_UPWARD);
    feclearexcept(FE_ALL_EXCEPT);
    feraiseexcept(FE_INVALID);
    const int raised = fetestexcept(FE_ALL_EXCEPT); /* none under valgrind, which has no flags */
    expect(raised == FE_INVALID || raised == 0, "another flag than the one that was raised");
    leaky_enter(&caller);
    expect(fegetround() == FE_TONEAREST, "not the default rounding mode");
    result = result / 3;
    wide = wide / 3;
    expect(result == 0x1.5555555555555p-2 && (double)wide == 0x1.5555555555555p-2, "not rounded to nearest");
    leaky_enter(&inner);
    leaky_leave(&inner);
    leaky_enter(&inner);
    result = result / zero;
    wide = wide / zero;
    leaky_leave(&inner);
    expect(fegetround() == FE_TONEAREST && !fetestexcept(FE_DIVBYZERO), "what the inner pair leaves behind");
    leaky_leave(&caller);
    expect(fegetround() == FE_UPWARD && fetestexcept(FE_ALL_EXCEPT) == raised, "the caller's environment is another");
    fesetenv(FE_DFL_ENV);
    expect(leaky_scale(3, -1) == 1.5 && leaky_scale(1, 5000) > 0x1p1023, "scaling");
}

/* ---- no memory in the driver: a call says so, or does without */

static void without_memory(void)
{
    enum { N = 17 * 4096 };
    static float x[N], y[N], want[N];
    static double sums[2 * N];
    static int64_t counts[N];
    static const double threshold = 0;
    double value;
    int exponent;

    for (int i = 0; i < N; i++)
        x[i] = (float)(i % 7 - 3);
    const char *const in = (const char *)x;
    const ptrdiff_t groups[5] = {2, 3, 2, 5, 4};
    allocations = 0;
    expect(leaky_run_norm(LEAKY_NORM_2, LEAKY_F32, in, N, &value, &exponent) == -1, "a norm without memory");
    expect(leaky_add_units(LEAKY_F32, in, 10, 10, 10, &threshold, 1, counts, sums) == -1, "units without memory");
    expect(leaky_run_prelu_backward(LEAKY_F32, in, in, in, (char *)y, sums, groups, 5) == -1, "prelu without memory");
    expect(leaky_run_prelu_backward(LEAKY_F32, in, in, in, (char *)y, sums, groups, 3) == -1, "prelu without memory");
    allocations = 1;
    expect(leaky_run_prelu_backward(LEAKY_F32, in, in, in, (char *)y, sums, groups, 5) == -1, "prelu with too little memory");
    const struct leaky_bias_act forward = {.x = in, .bias = in, .y = (char *)y, .channels = 5, .inner = 2, .gain = 1, .clamp = 1};
    const struct leaky_gradients backward = {.grad = in, .x = in, .parameter = in, .dx = (char *)y, .outer = 10, .channels = 5,
                                             .inner = 2, .gain = 1, .clamp = 1};
    for (int left = 0; left < 2; left++) {
        allocations = left;
        expect(leaky_run_bias_act_backward(LEAKY_ELU, LEAKY_F32, &backward, sums) == -1, "bias_act_backward without memory");
    }
    allocations = 0;
    expect(leaky_run_bias_act(LEAKY_ELU, LEAKY_F32, &forward, 100) == -1, "bias_act without memory");
    allocations = -1;

    /* Weights along short stretches: repeated in a buffer, or else stretch by stretch. */
    const struct leaky_axis axes[2] = {{5, {4, 4, 4}}, {1000, {20, 0, 20}}};
    char *args[3] = {(char *)x, (char *)x, (char *)want};
    leaky_run_layout(args, 2, axes, &leaky_entries[0][LEAKY_leaky_relu][LEAKY_F32]);
    args[2] = (char *)y;
    allocations = 0;
    leaky_run_layout(args, 2, axes, &leaky_entries[0][LEAKY_leaky_relu][LEAKY_F32]);
    allocations = -1;
    expect(!memcmp(want, y, 5000 * sizeof *y), "without memory the result is another");
}

/* ---- no element, beside lengths over which nothing can loop and whose product no ptrdiff_t holds */

static void nothing_to_do(void)
{
    enum { WEIGHTS = 6 };
    static const ptrdiff_t huge = (ptrdiff_t)1 << 40;
    const ptrdiff_t shapes[][3] = {{huge, 3, 0}, {0, 3, huge}, {huge, 0, huge}, {huge, 0, 8}, {0, 1, PTRDIFF_MAX}};
    const double one = 1;
    const char *const in = (const char *)&one;
    char out[8];

    alarm(60);
    for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++)
        for (int dtype = 0; dtype < LEAKY_DTYPES; dtype++) {
            const ptrdiff_t outer = shapes[k][0], channels = shapes[k][1], inner = shapes[k][2];
            const ptrdiff_t groups[5] = {outer, channels, inner, channels ? 2 : huge, huge};
            double sums[2 * WEIGHTS], moments[2 * WEIGHTS] = {0};
            int64_t counts[WEIGHTS] = {0};
            for (int count = 3; count <= 5; count += 2) {
                for (int i = 0; i < 2 * WEIGHTS; i++)
                    sums[i] = 7;
                expect(!leaky_run_prelu_backward(dtype, in, in, in, out, sums, groups, count), "no memory");
                for (ptrdiff_t i = 0; i < 2 * WEIGHTS; i++)
                    expect(sums[i] == (i < channels * (count == 5 ? 2 : 1) ? 0 : 7), "the gradient of a weight without elements");
            }
            for (int activation = 0; activation < LEAKY_ACTIVATIONS; activation++) {
                struct leaky_gradients call = {.grad = in, .x = in, .parameter = in, .dx = out, .outer = outer,
                                               .channels = channels, .inner = inner, .gain = 1, .clamp = 1};
                sums[0] = 7;
                expect(!leaky_run_bias_act_backward(activation, dtype, &call, sums), "no memory");
                expect(!channels || sums[0] == 0, "the gradient of a bias without elements");
                call.parameter = NULL;
                expect(!leaky_run_bias_act_backward(activation, dtype, &call, sums), "no memory");
                const struct leaky_bias_act forward = {.x = in, .bias = in, .y = out, .channels = channels, .inner = inner};
                expect(!leaky_run_bias_act(activation, dtype, &forward, 0), "no memory");
            }
            expect(!leaky_add_units(dtype, in, outer, channels, inner, &one, 1, counts, moments), "no memory");
            leaky_add_mask((const unsigned char *)in, outer, channels, inner, counts);
            for (int i = 0; i < WEIGHTS; i++)
                expect(counts[i] == 0 && moments[i] == 0, "a unit without elements");
            const ptrdiff_t shape[4] = {outer, channels, inner, huge};
            const uint64_t strides[4] = {0};
            const struct leaky_random random = {.in = {in, in}, .out = out, .p = 0.5};
            leaky_run_random(LEAKY_DROPOUT, dtype, &random, 4, shape, strides);
            const struct leaky_axis axes[4] = {{outer, {0}}, {channels, {0}}, {inner, {0}}, {huge, {0}}};
            char *args[LEAKY_MAX_INPUTS + 1] = {(char *)in, (char *)in, out};
            leaky_run_layout(args, 4, axes, &leaky_entries[0][LEAKY_leaky_relu][dtype]);
        }
    alarm(0);
}

/* ---- results that are written around the caches */

static void large_results(void)
{
    const ptrdiff_t n = ((ptrdiff_t)32 << 20) / 4 + 5, steps[3] = {4, 4, 4};
    float *const x = malloc((size_t)n * 4), *const y = malloc((size_t)n * 4);
    unsigned char *const mask = malloc((size_t)n / 8 + 1);
    const float bias = 0;
    expect(x && y && mask, "no memory");
    expect(leaky_is_large(LEAKY_F32, n) && !leaky_is_large(LEAKY_F32, n - 6), "what is large");
    for (int how = 0; how < 5; how++) {
        for (ptrdiff_t i = 0; i < n; i++)
            x[i] = (float)(i % 5 - 2);
        char *args[3] = {(char *)x, how == 4 ? (char *)x : (char *)y, NULL};
        memset(y, 0, (size_t)n * 4);
        leaky_limit_threads(how < 2 ? 1 : 3);
        if (how == 3) {
            const struct leaky_bias_act call = {.x = (char *)x, .bias = (const char *)&bias, .y = (char *)y, .channels = 1,
                                                .inner = n, .gain = 1, .clamp = 100};
            expect(!leaky_run_bias_act(LEAKY_RELU, LEAKY_F32, &call, n), "no memory");
        } else if (how == 1)
            leaky_run_masked(LEAKY_RELU_MASKED, LEAKY_F32, (char *)x, (char *)y, mask, n, 0);
        else
            leaky_run(args, &n, steps, (void *)&leaky_entries[0][LEAKY_relu][LEAKY_F32]);
        const float *const result = how == 4 ? x : y;
        for (ptrdiff_t i = 0; i < n; i++)
            expect(result[i] == (i % 5 > 2 ? (float)(i % 5 - 2) : 0), "a large result is wrong");
    }
    leaky_limit_threads(0);
    free(x);
    free(y);
    free(mask);
}

int main(void)
{
    forks();
    limits();
    memory();
    instruction_sets();
    threads();
    environments();
    without_memory();
    nothing_to_do();
    large_results();
    return 0;
}
