/* The table: one row per function and direction.  Nothing else in the project spells a formula.
 *
 *     ROW(name, number of inputs, how many of them are parameters, (inputs), formula)
 *
 * Parameters come last among the inputs and may be one number for the whole call.  A formula uses only the v_ words
 * of the vocabulary (simd_scalar.h lists them) and reads as C, as CUDA and as Python alike: kernels.c compiles it for
 * every ISA and dtype, and its text is the body of the CuPy kernel.  To add an activation, add a row per
 * direction here, a public function in pyleaky/_functions.pyx and a reference in tests/reference.py.
 *
 * 0 is on the negative side (`x > 0` is the test), and so is NaN.  relu asks for `x < 0` instead, so that NaN and -0.0
 * pass through it and -inf becomes 0. */
#ifndef LEAKY_ACTIVATIONS_H
#define LEAKY_ACTIVATIONS_H

#define LEAKY_TABLE(ROW) \
    ROW(relu, 1, 0, (x), v_select(v_lt(x, v_set(0)), v_set(0), x)) \
    ROW(relu_backward, 2, 0, (grad, x), v_select(v_gt(x, v_set(0)), grad, v_set(0))) \
    /* also PReLU, whose slope is an array */ \
    ROW(leaky_relu, 2, 1, (x, slope), v_select(v_gt(x, v_set(0)), x, v_mul(slope, x))) \
    ROW(leaky_relu_backward, 3, 1, (grad, x, slope), v_select(v_gt(x, v_set(0)), grad, v_mul(slope, grad))) \
    /* dL/dslope, element by element; the caller sums it over whatever shares one slope */ \
    ROW(prelu_weight_grad, 2, 0, (grad, x), v_select(v_gt(x, v_set(0)), v_set(0), v_mul(grad, x)))

/* The longest row. */
#define LEAKY_MAX_INPUTS 3

#endif
