# What the other extensions cimport: the dtype of a NumPy type number (-1 if none), and a row's kernel for one dtype,
# through the driver; a parameter is one number, float64 for float64 and float32 for the others.  No header of src/ is
# named here, so that a .pxd of the wheel can be compiled without the sources.
cimport numpy as cnp
from libc.stddef cimport ptrdiff_t
from libc.stdint cimport uint64_t

# The default floating-point environment: round to nearest, no subnormal flushed, every exception masked;
# leave_environment restores what enter_environment has saved, flags included.  Pairs may be nested.  A compiler may
# move arithmetic on C variables out of a pair; calls stay where they are.  Where NumPy computes in between, and could
# warn, it takes the context manager, a new one for each use.
cdef struct environment:
    uint64_t saved[4]
cdef void enter_environment(environment *caller) noexcept nogil
cdef void leave_environment(const environment *caller) noexcept nogil
cdef class default_environment:
    cdef environment caller
    cdef object errstate

# From how many bytes on a result is made of recycled memory.
cdef enum:
    RECYCLE_FROM = 1 << 20

cdef int dtype_of(int typenum) noexcept nogil
# A fresh result of `size` bytes, of recycled memory.
cdef cnp.ndarray empty(int ndim, cnp.npy_intp *shape, int typenum, bint fortran, ptrdiff_t size)
# Whether two arrays have no byte in common, by the ranges of their addresses.
cdef bint are_apart(cnp.ndarray a, cnp.ndarray b) noexcept
# Whether a call is worth releasing the GIL for.  What releases it without asking this calls keep_limit first: from
# then on calls without the GIL obey the num_threads of the context.
cdef bint is_long(int row, int dtype, ptrdiff_t n) noexcept
cdef void keep_limit() noexcept
cdef void run(int row, int dtype, char **args, ptrdiff_t n, const ptrdiff_t *steps) noexcept nogil
# The same with a parameter that has `channels` elements, each for `inner` contiguous ones of the arrays, `outer` times.
cdef void run_channels(int row, int dtype, char **args, ptrdiff_t outer, ptrdiff_t channels,
                       ptrdiff_t inner) noexcept nogil
cdef void run_number(int row, int dtype, char **args, ptrdiff_t n, ptrdiff_t *steps, double number) noexcept nogil
# The kernels of src/fused.inc, by number (leaky_masked_kernel, leaky_random_kernel in leaky.h), on contiguous arrays.
cdef void run_masked(int kernel, int dtype, const char *values, char *out, unsigned char *mask, ptrdiff_t n,
                     double slope) noexcept nogil
# 0, or -1 when memory ran out; with one group the weight is a number.
cdef int run_prelu_backward(int dtype, const char *grad, const char *x, const char *weight, double number, char *dx,
                            double *weight_grad, const ptrdiff_t *groups, int count) noexcept nogil
cdef void run_prelu_backward_each(int dtype, const char *grad, const char *x, const char *weight, char *dx,
                                  char *weight_grad, ptrdiff_t n) noexcept nogil
cdef void run_random(int kernel, int dtype, const char *first, const char *second, char *out, int dims,
                     const ptrdiff_t *shape, const uint64_t *strides, uint64_t seed, uint64_t start, double a,
                     double b) noexcept nogil
# Bias + activation (leaky_activation).  Without a bias that is NULL; mask, output and gg may be NULL, and x with one of
# the first two.  0, or -1 when memory ran out.
cdef int run_bias_act(int activation, int dtype, const char *x, const char *bias, char *y, unsigned char *mask,
                      ptrdiff_t n, ptrdiff_t channels, ptrdiff_t inner, double slope, double gain,
                      double clamp) noexcept nogil
cdef int run_bias_act_backward(int activation, int dtype, const char *gg, const char *grad, const char *x,
                               const char *output, const unsigned char *mask, const char *bias, char *dx,
                               double *bias_grad, ptrdiff_t outer, ptrdiff_t channels, ptrdiff_t inner, double slope,
                               double gain, double clamp) noexcept nogil
# 0, or -1 when memory ran out; kind as in leaky_norm.
cdef int run_norm(int kind, int dtype, const char *x, ptrdiff_t n, double *value, int *exponent) noexcept nogil
# number * 2^exponent, in the default floating-point environment.
cdef double scale(double number, int exponent) noexcept nogil
