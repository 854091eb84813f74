# What the other extensions cimport: the dtype of a NumPy type number (-1 if none), and a row's kernel for one dtype,
# through the driver; a parameter is one number, float64 for float64 and float32 for the others.  No header of src/ is
# named here, so that a .pxd of the wheel can be compiled without the sources.
cimport numpy as cnp
from libc.stddef cimport ptrdiff_t

# From how many bytes on a result is made of recycled memory.
cdef enum:
    RECYCLE_FROM = 1 << 20

cdef int dtype_of(int typenum) noexcept nogil
# A fresh result of `size` bytes, of recycled memory.
cdef cnp.ndarray empty(int ndim, cnp.npy_intp *shape, int typenum, bint fortran, ptrdiff_t size)
# Whether a call is worth releasing the GIL for.
cdef bint is_long(int row, int dtype, ptrdiff_t n) noexcept nogil
cdef void run(int row, int dtype, char **args, ptrdiff_t n, const ptrdiff_t *steps) noexcept nogil
cdef void run_number(int row, int dtype, char **args, ptrdiff_t n, ptrdiff_t *steps, double number) noexcept nogil
