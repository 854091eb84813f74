/* Which ISA runs: CPU detection, PYLEAKY_ISA, the chosen table, and the row table as data.  Kernels ask nothing
 * about the CPU; whoever calls them has come through leaky_kernel_in_use. */
#include "leaky.h"

#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#include <cpuid.h>
#endif

const struct leaky_row_info leaky_rows[LEAKY_ROWS] = {
#define ROW(name, inputs, parameters, names, formula) {#name, inputs, parameters, #names, #formula},
    LEAKY_TABLE(ROW)
#undef ROW
};

#define ENTRIES(row, numbers) \
    {{row, LEAKY_F16, numbers}, {row, LEAKY_BF16, numbers}, {row, LEAKY_F32, numbers}, {row, LEAKY_F64, numbers}},
const struct leaky_entry leaky_entries[2][LEAKY_ROWS][LEAKY_DTYPES] = {
#define ROW(name, inputs, parameters, names, formula) ENTRIES(LEAKY_##name, 0)
    {LEAKY_TABLE(ROW)},
#undef ROW
#define ROW(name, inputs, parameters, names, formula) ENTRIES(LEAKY_##name, 1)
    {LEAKY_TABLE(ROW)},
#undef ROW
};

const char *const leaky_isa_names[LEAKY_ISAS] = {"scalar", "avx2", "avx512", "neon"};
const ptrdiff_t leaky_sizes[LEAKY_DTYPES] = {2, 2, 4, 8};

static enum leaky_isa in_use = LEAKY_SCALAR;

int leaky_isa_supported(enum leaky_isa isa)
{
    if (!leaky_kernels[isa][LEAKY_F32])
        return 0;
#if defined(__x86_64__) && defined(__GNUC__)
    __builtin_cpu_init();
    unsigned int a, b, c, d; /* older compilers have no name for F16C */
    if (isa == LEAKY_AVX2)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __get_cpuid(1, &a, &b, &c, &d) &&
               c & bit_F16C;
    if (isa == LEAKY_AVX512)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#endif
    return 1;
}

enum leaky_isa leaky_isa_in_use(void) { return in_use; }

int leaky_use_isa(const char *name)
{
    for (int isa = 0; isa < LEAKY_ISAS; isa++)
        if (!strcmp(name, leaky_isa_names[isa]) && leaky_isa_supported((enum leaky_isa)isa)) {
            in_use = (enum leaky_isa)isa;
            return 0;
        }
    return -1;
}

int leaky_choose_isa(void)
{
    const char *name = getenv("PYLEAKY_ISA");
    if (name && *name)
        return leaky_use_isa(name);
    for (int isa = 0; isa < LEAKY_ISAS; isa++)
        if (leaky_isa_supported((enum leaky_isa)isa))
            in_use = (enum leaky_isa)isa;
    return 0;
}

leaky_kernel *leaky_kernel_in_use(const struct leaky_entry *entry)
{
    return leaky_kernels[in_use][entry->dtype][entry->row];
}
