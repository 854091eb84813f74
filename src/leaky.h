/* The C API of the core: what a row, a dtype, an ISA and a kernel are, and how to run one.  No Python header belongs
 * here or in any other file of src/.  A new row needs no change here; a new dtype or ISA needs its enumerator. */
#ifndef LEAKY_H
#define LEAKY_H

#include <stddef.h>

#include "activations.h"

enum leaky_row {
#define ROW(name, inputs, parameters, names, formula) LEAKY_##name,
    LEAKY_TABLE(ROW)
#undef ROW
    LEAKY_ROWS
};

enum leaky_dtype { LEAKY_F16, LEAKY_BF16, LEAKY_F32, LEAKY_F64, LEAKY_DTYPES };

enum leaky_isa { LEAKY_SCALAR, LEAKY_AVX2, LEAKY_AVX512, LEAKY_NEON, LEAKY_ISAS };

/* A kernel is an inner loop of a NumPy ufunc in plain C: one pointer and one step in bytes per operand, the inputs first,
 * the output last, and n[0] elements.  Pointers may be misaligned, steps may be negative or 0, and operands may
 * overlap in any way: the result is that of a loop that goes from element to element.  float16 and bfloat16 are
 * computed in float32 and rounded once; where data is not NULL, the row's parameters are float32 already. */
typedef void leaky_kernel(char **args, const ptrdiff_t *n, const ptrdiff_t *steps, void *data);

struct leaky_row_info {
    const char *name;
    int inputs, parameters;
    const char *names;   /* of the inputs: "(grad, x, slope)" */
    const char *formula; /* "v_select(...)" */
};

/* What the driver's `data` points to: which kernel to look up in the table of the ISA in use, and whether the row's
 * parameters are numbers, which no half type rounds: float64 for float64, float32 for the others. */
struct leaky_entry {
    enum leaky_row row;
    enum leaky_dtype dtype;
    int numbers;
};

extern const struct leaky_row_info leaky_rows[LEAKY_ROWS];
extern const struct leaky_entry leaky_entries[2][LEAKY_ROWS][LEAKY_DTYPES]; /* first index: numbers */
extern const char *const leaky_isa_names[LEAKY_ISAS];

/* kernels.c: by row; NULL where this build does not hold the ISA. */
extern leaky_kernel *const *const leaky_kernels[LEAKY_ISAS][LEAKY_DTYPES];

/* dispatch.c */
int leaky_isa_supported(enum leaky_isa isa); /* by this build and this CPU */
enum leaky_isa leaky_isa_in_use(void);
int leaky_use_isa(const char *name);         /* 0, or -1 when name is unknown or not supported; not while calls run */
int leaky_choose_isa(void);                  /* PYLEAKY_ISA or, where it is unset or empty, the widest; as leaky_use_isa */
leaky_kernel *leaky_kernel_in_use(const struct leaky_entry *entry);

/* driver.c: run a row in the default floating-point environment and leave the caller's as it was, flags included.
 * leaky_run is itself a kernel whose data is an entry.  leaky_run_number rounds `number` once to the type in which the
 * dtype is computed and passes it as the row's one parameter: args and steps have room for that operand, and what they hold
 * there is ignored. */
leaky_kernel leaky_run;
void leaky_run_number(char **args, ptrdiff_t n, ptrdiff_t *steps, enum leaky_row row, enum leaky_dtype dtype,
                      double number);

#endif
