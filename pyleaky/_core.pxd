# What the other extensions cimport: a row's kernel for one dtype, through the driver.  No header is named here, so that
# a .pxd of the wheel can be compiled without the sources.
from libc.stddef cimport ptrdiff_t

cdef void run(int row, int dtype, char **args, ptrdiff_t n, const ptrdiff_t *steps) noexcept nogil
cdef void run_number(int row, int dtype, char **args, ptrdiff_t n, ptrdiff_t *steps, double number) noexcept nogil
