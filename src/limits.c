/* What the machine and the process's cgroups allow: threads and bytes. */
#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif
#include "leaky.h"

#if defined(__unix__) || defined(__APPLE__)
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#endif

#if defined(__linux__)
#include <sched.h>

/* A number from a file of a cgroup, -1 where there is none ("max", or no such file). */
static long long number_in(const char *folder, const char *name, int position)
{
    char path[PATH_MAX + 64];
    long long first = -1, second = -1;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *const file = fopen(path, "r");
    if (!file)
        return -1;
    if (fscanf(file, "%lld %lld", &first, &second) < 1)
        first = -1;
    fclose(file);
    return first < 0 ? -1 : position ? second : first;
}

/* CPUs, rounded up. */
static long long cpus_in(const char *folder, int version)
{
    const long long quota = version == 2 ? number_in(folder, "cpu.max", 0) : number_in(folder, "cpu.cfs_quota_us", 0);
    const long long period = version == 2 ? number_in(folder, "cpu.max", 1) : number_in(folder, "cpu.cfs_period_us", 0);
    return quota > 0 && period > 0 ? (quota - 1) / period + 1 : -1;
}

static long long bytes_in(const char *folder, int version)
{
    return number_in(folder, version == 2 ? "memory.max" : "memory.limit_in_bytes", 0);
}

/* The least limit of the process's cgroup and of those around it; -1 where there is none. */
static long long least(const char *controller, long long limit_in(const char *folder, int version))
{
    char line[PATH_MAX], folder[PATH_MAX + 64];
    long long result = -1;
    FILE *const file = fopen("/proc/self/cgroup", "r"); /* lines "number:controllers:path" */
    while (file && fgets(line, sizeof line, file)) {
        char *const controllers = strchr(line, ':');
        char *const path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!path)
            continue;
        *path = 0;
        const int version = controllers[1] ? 1 : 2;
        if (version == 1 && !strstr(controllers + 1, controller))
            continue;
        path[1 + strcspn(path + 1, "\n")] = 0;
        for (char *end = path + 1; end; ) {
            snprintf(folder, sizeof folder, version == 2 ? "/sys/fs/cgroup%.0s%s" : "/sys/fs/cgroup/%s%s", controller, path + 1);
            const long long limit = limit_in(folder, version);
            if (limit >= 0 && (result < 0 || limit < result))
                result = limit;
            if ((end = strrchr(path + 1, '/')))
                *end = 0;
        }
    }
    if (file)
        fclose(file);
    return result;
}
#endif

int leaky_available_threads(void)
{
    long long count = 1;
#if defined(_SC_NPROCESSORS_ONLN)
    count = sysconf(_SC_NPROCESSORS_ONLN);
#endif
#if defined(__linux__)
    cpu_set_t set;
    if (!sched_getaffinity(0, sizeof set, &set))
        count = CPU_COUNT(&set);
    const long long limit = least("cpu", cpus_in);
    if (limit > 0 && limit < count)
        count = limit;
#endif
    return count < 1 ? 1 : count > LEAKY_MAX_THREADS ? LEAKY_MAX_THREADS : (int)count;
}

size_t leaky_available_memory(void)
{
#if defined(__linux__)
    const long long all = (long long)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE), limit = least("memory", bytes_in);
    if (all < 0) /* unknown */
        return limit > 0 ? (size_t)limit : 0;
    return (size_t)(limit > 0 && limit < all ? limit : all);
#else
    return 0;
#endif
}
