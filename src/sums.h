/* What fused.c and reductions.c share: how many elements there are and, to add up the parts of a sum, the addition itself and
 * which elements one part is of. */
#ifndef LEAKY_SUMS_H
#define LEAKY_SUMS_H

#include <math.h>
#include <stddef.h>

/* The product of every step-th length.  Where one of them is 0 the others may be so large that their product has no
 * ptrdiff_t: there is nothing to do, which must take no time. */
static inline ptrdiff_t leaky_elements(const ptrdiff_t *lengths, int count, int step)
{
    ptrdiff_t n = 1;
    for (int k = 0; k < count; k += step)
        if (lengths[k] == 0)
            return 0;
    for (int k = 0; k < count; k += step)
        n *= lengths[k];
    return n;
}

/* Neumaier's sum: what its roundings cut off goes to the second number, with what the term had lost before. */
static inline void leaky_add(double sum[2], double term, double rest)
{
    const double total = sum[0] + term;
    sum[1] += (fabs(sum[0]) >= fabs(term) ? sum[0] - total + term : term - total + sum[0]) + rest;
    sum[0] = total;
}

static inline double leaky_total(double sum, double rest)
{
    const double total = sum + rest;
    return isfinite(total) ? total : sum; /* inf - inf in what was cut off is not the sum's */
}

/* Where rows are short, a part is of one column in a group of rows, else of a block in a row. */
static inline int leaky_sums_by_columns(ptrdiff_t inner, ptrdiff_t columns)
{
    enum { SHORT_ROW = 256, MOST_COLUMNS = 1 << 16 };
    return inner < SHORT_ROW && columns > 1 && columns <= MOST_COLUMNS;
}

static inline ptrdiff_t leaky_rows_in_group(ptrdiff_t columns)
{
    enum { ROWS = 32, ELEMENTS = 32 * 256 };
    return ELEMENTS / columns > ROWS ? ELEMENTS / columns : ROWS;
}

#endif
