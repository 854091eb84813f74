/* Recycled memory for large results.  A fresh mapping costs a page fault for every page that is written, which for a large
 * result is several times the computation; so blocks that come back are kept, up to a limit and for about a second, and
 * handed out again.  A block remembers its own size: what the caller says about it when it comes back is not used. */
#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif
#include "leaky.h"

#if defined(__linux__)

#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define KEPT 64                             /* blocks at most */
#define KEEP_NANOSECONDS 1000000000         /* unused for so long, a block goes back to the system */
#define HUGE_PAGE ((size_t)2 << 20)

/* In the page before the data. */
struct header {
    void *mapping;
    size_t mapped, size; /* of the mapping; of the data */
};

struct block {
    char *data;
    size_t size;
    int64_t since;
};

static struct {
    pthread_mutex_t mutex;
    struct block blocks[KEPT]; /* oldest first */
    int count;
    struct leaky_memory_info info;
    int has_limit;
} cache = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static size_t page_size(void) { return (size_t)sysconf(_SC_PAGESIZE); }
static struct header *header_of(void *data) { return (struct header *)((char *)data - page_size()); }

static char *map(size_t size)
{
    const size_t page = page_size(), alignment = size < HUGE_PAGE ? page : HUGE_PAGE;
    if (size > SIZE_MAX / 2)
        return NULL;
    size = size ? (size + page - 1) / page * page : page; /* what is kept counts, an empty block too */
    const size_t mapped = size + alignment + page;
    char *const mapping = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapping == MAP_FAILED)
        return NULL;
    char *const data = (char *)(((uintptr_t)mapping + page + alignment - 1) / alignment * alignment);
    if (alignment == HUGE_PAGE)
        madvise(data, size, MADV_HUGEPAGE);
    *header_of(data) = (struct header){mapping, mapped, size};
    return data;
}

static void unmap(void *data)
{
    const struct header header = *header_of(data);
    munmap(header.mapping, header.mapped);
}

/* Takes block i out of the cache. */
static char *remove_block(int i)
{
    char *const data = cache.blocks[i].data;
    cache.info.cached -= cache.blocks[i].size;
    memmove(cache.blocks + i, cache.blocks + i + 1, (size_t)(--cache.count - i) * sizeof *cache.blocks);
    return data;
}

/* Unmaps blocks, oldest first, until at most `room` bytes are kept and none is older than `oldest`. */
static void shrink(size_t room, int64_t oldest)
{
    while (cache.count && (cache.info.cached > room || cache.blocks[0].since < oldest))
        unmap(remove_block(0));
}

static void lock(void) { pthread_mutex_lock(&cache.mutex); }
static void unlock(void) { pthread_mutex_unlock(&cache.mutex); }
static void register_fork(void) { pthread_atfork(lock, unlock, unlock); }

static void enter(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, register_fork);
    lock();
    if (!cache.has_limit) {
        cache.info.limit = leaky_available_memory() / 16;
        cache.has_limit = 1;
    }
}

void *leaky_memory_take(size_t size)
{
    char *data = NULL;
    int best = -1;
    enter();
    for (int i = 0; i < cache.count; i++)
        if (cache.blocks[i].size >= size && cache.blocks[i].size - size <= size / 4 &&
            (best < 0 || cache.blocks[i].size < cache.blocks[best].size))
            best = i;
    if (best >= 0)
        data = remove_block(best);
    cache.info.hits += data != NULL;
    cache.info.misses += data == NULL;
    unlock();
    if (data)
        return data;
    data = map(size);
    if (!data) { /* with what is kept given back there may be enough */
        leaky_memory_clear();
        data = map(size);
    }
    return data;
}

void *leaky_memory_take_zeros(size_t count, size_t size)
{
    if (size && count > SIZE_MAX / size)
        return NULL;
    void *const data = leaky_memory_take(count * size);
    return data ? memset(data, 0, count * size) : NULL;
}

void *leaky_memory_resize(void *old, size_t size)
{
    void *const data = leaky_memory_take(size);
    if (!data || !old)
        return data;
    const size_t before = header_of(old)->size;
    memcpy(data, old, before < size ? before : size);
    leaky_memory_give(old);
    return data;
}

void leaky_memory_give(void *data)
{
    if (!data)
        return;
    const size_t size = header_of(data)->size;
    enter();
    if (size > cache.info.limit) {
        unlock();
        unmap(data);
        return;
    }
    if (cache.count == KEPT)
        unmap(remove_block(0));
    shrink(cache.info.limit - size, now() - KEEP_NANOSECONDS);
    cache.blocks[cache.count++] = (struct block){data, size, now()};
    cache.info.cached += size;
    const int first = cache.count == 1;
    unlock();
    if (first)
        leaky_wake_for_idle_work();
}

int leaky_memory_trim(void)
{
    enter();
    shrink(SIZE_MAX, now() - KEEP_NANOSECONDS);
    const int left = cache.count;
    unlock();
    return left > 0;
}

void leaky_memory_clear(void)
{
    enter();
    shrink(0, 0);
    unlock();
}

void leaky_memory_set_limit(size_t limit)
{
    enter();
    cache.info.limit = limit;
    shrink(limit, 0);
    unlock();
}

struct leaky_memory_info leaky_memory_info(void)
{
    enter();
    cache.info.blocks = (size_t)cache.count;
    const struct leaky_memory_info info = cache.info;
    unlock();
    return info;
}

#else /* no recycling; an empty block is a block, too, which realloc of 0 bytes would give back */

#include <stdlib.h>

void *leaky_memory_take(size_t size) { return malloc(size ? size : 1); }
void *leaky_memory_take_zeros(size_t count, size_t size) { return calloc(count ? count : 1, size ? size : 1); }
void *leaky_memory_resize(void *data, size_t size) { return realloc(data, size ? size : 1); }
void leaky_memory_give(void *data) { free(data); }
int leaky_memory_trim(void) { return 0; }
void leaky_memory_clear(void) {}
void leaky_memory_set_limit(size_t limit) { (void)limit; }
struct leaky_memory_info leaky_memory_info(void) { return (struct leaky_memory_info){0, 0, 0, 0, 0}; }

#endif
