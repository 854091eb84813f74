/* Runs each kernel of src/activations.h once on a fixed set of numbers, for callgrind.py to count its instructions.
 * measured() is what valgrind counts; the names of what it ran are printed in order.  Parameters are numbers. */
#include "../src/leaky.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ELEMENTS = 4096, MOST_BYTES = 8 };

static const ptrdiff_t sizes[LEAKY_DTYPES] = {2, 2, 4, 8};
static const char *const dtype_names[LEAKY_DTYPES] = {"float16", "bfloat16", "float32", "float64"};
static _Alignas(64) char operands[LEAKY_MAX_INPUTS + 1][ELEMENTS * MOST_BYTES];

/* From -4 to 4, of both signs in an order that no branch predicts. */
static double number(int k) { return (double)(k * 2654435761u % 8192) / 1024 - 4; }

static void put(char *p, enum leaky_dtype dtype, double value)
{
    const float narrow = (float)value;
    unsigned int bits;
    unsigned short half;
    memcpy(&bits, &narrow, sizeof bits);
    if (dtype == LEAKY_F64) {
        memcpy(p, &value, sizeof value);
    } else if (dtype == LEAKY_F32) {
        memcpy(p, &narrow, sizeof narrow);
    } else { /* truncated; the numbers are normal in both */
        half = (unsigned short)(dtype == LEAKY_BF16 ? bits >> 16
                                                    : (bits >> 16 & 0x8000) | ((bits >> 13 & 0x3ffff) - (112 << 10)));
        memcpy(p, &half, sizeof half);
    }
}

__attribute__((noinline)) static void measured(leaky_kernel *kernel, char **args, const ptrdiff_t *steps, void *data)
{
    const ptrdiff_t n = ELEMENTS;
    kernel(args, &n, steps, data);
    __asm__ volatile("" ::: "memory"); /* no tail call */
}

int main(int count, char **arguments)
{
    if (count != 2 || leaky_use_isa(arguments[1])) {
        fprintf(stderr, "usage: %s ISA, one that this processor (under valgrind, valgrind) supports\n", arguments[0]);
        return 2;
    }
    for (int row = 0; row < LEAKY_ROWS; row++)
        for (int dtype = 0; dtype < LEAKY_DTYPES; dtype++) {
            const struct leaky_entry *const entry = &leaky_entries[1][row][dtype];
            const int inputs = leaky_rows[row].inputs, arrays = inputs - leaky_rows[row].parameters;
            char *args[LEAKY_MAX_INPUTS + 1], parameter[8];
            ptrdiff_t steps[LEAKY_MAX_INPUTS + 1];
            for (int k = 0; k <= inputs; k++) {
                args[k] = operands[k];
                steps[k] = sizes[dtype];
                for (int i = 0; i < ELEMENTS; i++)
                    put(operands[k] + i * sizes[dtype], (enum leaky_dtype)dtype, number(i * 7 + k + 1));
            }
            if (arrays < inputs) {
                leaky_round_number(0.75, (enum leaky_dtype)dtype, parameter);
                args[arrays] = parameter;
                steps[arrays] = 0;
            }
            measured(leaky_kernel_in_use(entry), args, steps, (void *)entry);
            printf("%s %s\n", leaky_rows[row].name, dtype_names[dtype]);
        }
    return 0;
}
