/* The pool: threads that share one call's chunks.  Whoever calls claims chunks like everyone else and at the end waits only
 * for chunks that another thread has started, so a worker that never got a core costs nothing.  One call at a time has
 * the pool; a second one that comes meanwhile runs alone, on the thread it came on.
 *
 * Everything that a worker must know to claim a chunk is in one word, so that nobody can claim a chunk of a call that is
 * over: generation (32 bits), how many workers may take part (8), first and end of the chunks that nobody has claimed
 * (12 each).  The caller claims from the front and workers from the back, so that in a loop of calls on the same arrays
 * each finds most of its part in its own core's cache. */
#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif
#include "leaky.h"

#if (defined(__unix__) || defined(__APPLE__)) && !defined(__STDC_NO_ATOMICS__)

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

#if defined(__x86_64__)
#define PAUSE() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define PAUSE() __asm__ volatile("yield")
#else
#define PAUSE() ((void)0)
#endif

/* How long a thread looks for work, or waits for the last chunk, before it sleeps: about what it costs to wake a thread. */
#define SPIN_NANOSECONDS 50000

/* From how many nanoseconds alone a call is shared: with workers that look for work, and with workers that sleep.  In
 * between, the calls of a loop are added up until together they would have paid for waking.  Measured on two cores
 * (AMD EPYC, family 25 model 17, virtual machine): waking costs the caller 20 to 50 us; leaky_relu with `out` on 64K
 * float32 elements takes 5.2 us alone and 3.2 us with a worker that looks for work, on 256K 23 and 12 us, on 1M 90 and
 * 46 us. */
enum { SHARE_FROM = 4000, WAKE_FROM = 40000 };

/* How many nanoseconds' work a chunk is: short, so that a thread that loses its core holds up little. */
enum { CHUNK = 5000, MOST_CHUNKS = 4000 };

struct worker {
    pthread_t thread;
    pthread_cond_t wake;
    int asleep, woken, stop, has_idle_work;  /* under the mutex */
    int kept_off;                            /* the CPU that it was kept off last; only while busy */
};

static struct {
    _Atomic uint64_t word;
    atomic_long unfinished;
    atomic_flag busy;
    atomic_int awake, caller_asleep;
    leaky_chunk *chunk;
    void *context;
    pthread_mutex_t mutex;
    pthread_cond_t done;
    int workers; /* only while busy */
    struct worker worker[LEAKY_MAX_THREADS - 1];
} pool = {.busy = ATOMIC_FLAG_INIT, .mutex = PTHREAD_MUTEX_INITIALIZER, .done = PTHREAD_COND_INITIALIZER};

static atomic_int threads_for_all; /* 0: not chosen yet */
static _Thread_local int threads_for_caller;

static uint64_t pack(uint64_t generation, uint64_t helpers, uint64_t chunks)
{
    return generation << 32 | helpers << 24 | chunks << 12;
}
#define ONE_LESS_AT_FRONT ((uint64_t)1)
#define ONE_LESS_AT_BACK (-((uint64_t)1 << 12))
static uint64_t first_of(uint64_t word) { return word & 0xfff; }
static uint64_t end_of(uint64_t word) { return word >> 12 & 0xfff; }
static uint64_t helpers_of(uint64_t word) { return word >> 24 & 0xff; }

static int has_work(uint64_t word) { return first_of(word) < end_of(word); }
static int has_work_for(uint64_t word, uint64_t index) { return has_work(word) && index < helpers_of(word); }

static int64_t nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Claims and runs chunks until none is left.  The fields of a call are read only after a claim: until that chunk is
 * finished, they stay. */
static void take_part(uint64_t index)
{
    uint64_t word = atomic_load_explicit(&pool.word, memory_order_acquire);
    while (has_work_for(word, index)) {
        if (!atomic_compare_exchange_weak_explicit(&pool.word, &word, word + ONE_LESS_AT_BACK, memory_order_acq_rel,
                                                   memory_order_acquire))
            continue;
        pool.chunk(pool.context, (ptrdiff_t)end_of(word) - 1, (int)index + 1);
        if (atomic_fetch_sub(&pool.unfinished, 1) == 1 && atomic_load(&pool.caller_asleep)) {
            pthread_mutex_lock(&pool.mutex);
            pthread_cond_signal(&pool.done);
            pthread_mutex_unlock(&pool.mutex);
        }
        word = atomic_load_explicit(&pool.word, memory_order_acquire);
    }
}

/* Until woken; the first worker meanwhile gives back memory that nobody wants again.  The caller holds the mutex. */
static void sleep_or_trim(struct worker *self, uint64_t index)
{
    if (index || !self->has_idle_work) {
        pthread_cond_wait(&self->wake, &pool.mutex);
        return;
    }
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec++;
    if (pthread_cond_timedwait(&self->wake, &pool.mutex, &until) != ETIMEDOUT)
        return;
    self->has_idle_work = 0; /* before unlocking: a block that is given back meanwhile sets it again */
    pthread_mutex_unlock(&pool.mutex);
    const int more = leaky_memory_trim();
    pthread_mutex_lock(&pool.mutex);
    self->has_idle_work |= more;
}

/* A child has none of the threads, and what they were doing is not its business. */
static void start_afresh(void)
{
    pthread_mutex_init(&pool.mutex, NULL);
    pthread_cond_init(&pool.done, NULL);
    atomic_store(&pool.word, 0);
    atomic_store(&pool.awake, 0);
    atomic_store(&pool.caller_asleep, 0);
    for (int i = 0; i < pool.workers; i++)
        pool.worker[i].asleep = 0;
    pool.worker[0].has_idle_work = 1; /* it may have been in the middle of that */
    pool.workers = 0;
    atomic_flag_clear(&pool.busy);
}

static void register_fork(void) { pthread_atfork(NULL, NULL, start_afresh); }

/* Before the mutex or the flag is taken for the first time: a thread may hold either when another one forks. */
static void survive_forks(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, register_fork);
}

void leaky_wake_for_idle_work(void)
{
    survive_forks();
    pthread_mutex_lock(&pool.mutex);
    pool.worker[0].has_idle_work = 1;
    if (pool.worker[0].asleep)
        pthread_cond_signal(&pool.worker[0].wake);
    pthread_mutex_unlock(&pool.mutex);
}

/* A worker that wakes on the caller's CPU would compete with the one that it is to help, for as long as the scheduler
 * leaves them there: calls of 1M elements that take 50 us with two threads on two cores took 90 us, with one thread's
 * speed, or 150 us, with the worker looking for work in between, for a millisecond or for a second. */
#if defined(__linux__)
static int this_cpu(void) { return sched_getcpu(); }

/* The caller is busy. */
static void keep_off(int cpu, struct worker *worker)
{
    cpu_set_t set;
    if (cpu < 0 || worker->kept_off == cpu || sched_getaffinity(0, sizeof set, &set) || CPU_COUNT(&set) < 2)
        return;
    CPU_CLR(cpu, &set);
    if (!pthread_setaffinity_np(worker->thread, sizeof set, &set))
        worker->kept_off = cpu;
}
#else
static int this_cpu(void) { return -1; }
static void keep_off(int cpu, struct worker *worker) { (void)cpu, (void)worker; }
#endif

static void *work(void *argument)
{
    struct worker *const self = argument;
    const uint64_t index = (uint64_t)(self - pool.worker);

    for (;;) {
        take_part(index);
        for (int64_t end = nanoseconds() + SPIN_NANOSECONDS; nanoseconds() < end;) {
            PAUSE();
            if (has_work_for(atomic_load_explicit(&pool.word, memory_order_acquire), index))
                break;
        }
        pthread_mutex_lock(&pool.mutex);
        self->asleep = 1;
        self->woken = 0;
        atomic_fetch_sub(&pool.awake, 1);
        while (!self->stop && !self->woken && !has_work_for(atomic_load(&pool.word), index))
            sleep_or_trim(self, index);
        self->asleep = 0;
        atomic_fetch_add(&pool.awake, 1);
        const int stop = self->stop;
        pthread_mutex_unlock(&pool.mutex);
        if (stop) {
            atomic_fetch_sub(&pool.awake, 1);
            return NULL;
        }
    }
}

/* Workers from `count` on finish and are joined.  The caller is busy. */
static void stop_workers(int count)
{
    pthread_mutex_lock(&pool.mutex);
    for (int i = count; i < pool.workers; i++) {
        pool.worker[i].stop = 1;
        pthread_cond_signal(&pool.worker[i].wake);
    }
    pthread_mutex_unlock(&pool.mutex);
    for (int i = count; i < pool.workers; i++) {
        pthread_join(pool.worker[i].thread, NULL);
        pthread_cond_destroy(&pool.worker[i].wake);
    }
    if (count < pool.workers)
        pool.workers = count;
}

static void start_workers(int count)
{
    const int cpu = this_cpu();
    sigset_t all, before;
    if (pool.workers >= count)
        return;
    /* Signals are for the threads that the process's own code runs on. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (; pool.workers < count; pool.workers++) {
        struct worker *const worker = &pool.worker[pool.workers];
        worker->stop = 0; /* asleep is 0 already, and who has the mutex may be reading it */
        worker->kept_off = -1;
        pthread_cond_init(&worker->wake, NULL);
        if (pthread_create(&worker->thread, NULL, work, worker)) {
            pthread_cond_destroy(&worker->wake);
            break; /* fewer will do */
        }
        atomic_fetch_add(&pool.awake, 1);
        keep_off(cpu, worker);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void wake_workers(int helpers)
{
    if (atomic_load(&pool.awake) == pool.workers)
        return;
    const int cpu = this_cpu();
    pthread_mutex_lock(&pool.mutex);
    for (int i = 0; i < helpers; i++)
        if (pool.worker[i].asleep) {
            keep_off(cpu, &pool.worker[i]);
            pool.worker[i].woken = 1; /* the work may be done when it comes: then it looks for the next, which is near */
            pthread_cond_signal(&pool.worker[i].wake);
        }
    pthread_mutex_unlock(&pool.mutex);
}

void leaky_parallel(leaky_chunk *chunk, void *context, ptrdiff_t chunks, int threads)
{
    if (threads > chunks)
        threads = (int)chunks;
    if (threads > 1)
        survive_forks();
    if (threads < 2 || atomic_flag_test_and_set_explicit(&pool.busy, memory_order_acquire)) {
        for (ptrdiff_t i = 0; i < chunks; i++)
            chunk(context, i, 0);
        return;
    }
    start_workers(threads - 1);
    const int helpers = threads - 1 < pool.workers ? threads - 1 : pool.workers;
    pool.chunk = chunk;
    pool.context = context;
    atomic_store(&pool.unfinished, (long)chunks);
    const uint64_t generation = (atomic_load_explicit(&pool.word, memory_order_relaxed) >> 32) + 1;
    atomic_store(&pool.word, pack(generation, (uint64_t)helpers, (uint64_t)chunks));
    wake_workers(helpers);

    /* Index 0 may always take part, except where no worker could be started. */
    uint64_t word = atomic_load(&pool.word);
    while (has_work(word)) {
        if (!atomic_compare_exchange_weak(&pool.word, &word, word + ONE_LESS_AT_FRONT))
            continue;
        chunk(context, (ptrdiff_t)first_of(word), 0);
        atomic_fetch_sub(&pool.unfinished, 1);
        word = atomic_load(&pool.word);
    }
    for (int64_t end = nanoseconds() + SPIN_NANOSECONDS; atomic_load(&pool.unfinished) && nanoseconds() < end;)
        PAUSE();
    if (atomic_load(&pool.unfinished)) {
        pthread_mutex_lock(&pool.mutex);
        atomic_store(&pool.caller_asleep, 1);
        while (atomic_load(&pool.unfinished))
            pthread_cond_wait(&pool.done, &pool.mutex);
        atomic_store(&pool.caller_asleep, 0);
        pthread_mutex_unlock(&pool.mutex);
    }
    atomic_flag_clear_explicit(&pool.busy, memory_order_release);
}

/* ---- how many */

int leaky_threads_for(int64_t alone)
{
    static _Thread_local int64_t recent, last;
    if (alone < SHARE_FROM)
        return 1;
    const int threads = leaky_get_threads();
    if (threads == 1 || alone >= WAKE_FROM || atomic_load_explicit(&pool.awake, memory_order_relaxed) >= threads - 1)
        return threads;
    const int64_t now = nanoseconds();
    recent = now - last < SPIN_NANOSECONDS + alone ? recent + alone : alone;
    last = now;
    if (recent < WAKE_FROM)
        return 1;
    recent = 0;
    return threads;
}

int leaky_get_threads(void)
{
    if (threads_for_caller)
        return threads_for_caller;
    int count = atomic_load_explicit(&threads_for_all, memory_order_relaxed);
    if (!count)
        atomic_store(&threads_for_all, count = leaky_available_threads());
    return count;
}

int leaky_limit_threads(int count)
{
    const int before = threads_for_caller;
    threads_for_caller = count > LEAKY_MAX_THREADS ? LEAKY_MAX_THREADS : count;
    return before;
}

void leaky_set_threads(int count)
{
    atomic_store(&threads_for_all, count > LEAKY_MAX_THREADS ? LEAKY_MAX_THREADS : count);
    survive_forks();
    while (atomic_flag_test_and_set_explicit(&pool.busy, memory_order_acquire))
        sched_yield();
    stop_workers(count - 1);
    atomic_flag_clear_explicit(&pool.busy, memory_order_release);
}

ptrdiff_t leaky_chunks_for(int64_t alone, int threads)
{
    const int64_t each = alone / CHUNK / threads + 1; /* as many for every thread */
    return each * threads < MOST_CHUNKS ? (ptrdiff_t)each * threads : MOST_CHUNKS;
}

#else /* no pool: every call runs on the thread it came on */

void leaky_parallel(leaky_chunk *chunk, void *context, ptrdiff_t chunks, int threads)
{
    (void)threads;
    for (ptrdiff_t i = 0; i < chunks; i++)
        chunk(context, i, 0);
}

int leaky_get_threads(void) { return 1; }
int leaky_threads_for(int64_t alone) { (void)alone; return 1; }
ptrdiff_t leaky_chunks_for(int64_t alone, int threads) { (void)alone, (void)threads; return 1; }
int leaky_limit_threads(int count) { (void)count; return 0; }
void leaky_set_threads(int count) { (void)count; }
void leaky_wake_for_idle_work(void) { }

#endif
