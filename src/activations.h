/* The table: one row per function and direction.  Nothing else in the project spells a formula.
 *
 *     ROW(name, number of inputs, how many of them are parameters, (inputs), formula)
 *
 * Parameters come last among the inputs and may be one number for the whole call.  A formula uses only the v_ words
 * of the vocabulary (simd_scalar.h lists them) and reads as C, as CUDA and as Python alike: kernels.c compiles it for
 * every ISA and dtype, its text is the body of the CuPy kernel, and _generic.py parses it for any other namespace.  To
 * add an activation, add a row per direction at the end (so that tests/c/digests.txt keeps its lines: the inputs belong
 * to a row's place), a public function in pyleaky/_functions.pyx and a reference in tests/reference.py.
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
    ROW(prelu_weight_grad, 2, 0, (grad, x), v_select(v_gt(x, v_set(0)), v_set(0), v_mul(grad, x))) \
    /* A double backward row is gg * grad * f''(x); the other half, gg * f'(x), is the backward row of gg. */ \
    ROW(elu, 2, 1, (x, alpha), v_select(v_gt(x, v_set(0)), x, v_expm1(alpha, x))) \
    ROW(elu_backward, 3, 1, (grad, x, alpha), v_select(v_gt(x, v_set(0)), grad, v_exp(alpha, x, grad))) \
    ROW(elu_backward_from_output, 3, 1, (grad, output, alpha), \
        v_select(v_gt(output, v_set(0)), grad, v_mul(v_add(output, alpha), grad))) \
    ROW(elu_double_backward, 4, 1, (gg, grad, x, alpha), \
        v_select(v_gt(x, v_set(0)), v_set(0), v_exp(alpha, x, v_mul(gg, grad)))) \
    ROW(celu, 2, 1, (x, alpha), v_select(v_gt(x, v_set(0)), x, v_expm1_div(alpha, x))) \
    ROW(celu_backward, 3, 1, (grad, x, alpha), v_select(v_gt(x, v_set(0)), grad, v_exp_div(x, alpha, grad))) \
    ROW(celu_backward_from_output, 3, 1, (grad, output, alpha), \
        v_select(v_gt(output, v_set(0)), grad, v_mul(v_div(v_add(output, alpha), alpha), grad))) \
    ROW(celu_double_backward, 4, 1, (gg, grad, x, alpha), \
        v_select(v_gt(x, v_set(0)), v_set(0), v_div(v_exp_div(x, alpha, v_mul(gg, grad)), alpha))) \
    ROW(selu, 1, 0, (x), \
        w_round(w_select(v_gt(x, v_set(0)), w_mul(LEAKY_SELU_SCALE, x), w_expm1(LEAKY_SELU_A, x)))) \
    ROW(selu_backward, 2, 0, (grad, x), \
        w_round(w_select(v_gt(x, v_set(0)), w_mul(LEAKY_SELU_SCALE, grad), w_exp(LEAKY_SELU_A, x, grad)))) \
    ROW(selu_backward_from_output, 2, 0, (grad, output), \
        v_select(v_gt(output, v_set(0)), w_round(w_mul(LEAKY_SELU_SCALE, grad)), \
                 v_mul(w_round(w_add(LEAKY_SELU_A, output)), grad))) \
    ROW(selu_double_backward, 3, 0, (gg, grad, x), \
        v_select(v_gt(x, v_set(0)), v_set(0), w_round(w_exp(LEAKY_SELU_A, x, v_mul(gg, grad))))) \
    /* What training does to gradients and weights. */ \
    ROW(scaled, 2, 1, (x, factor), v_mul(factor, x)) \
    ROW(add_scaled, 3, 1, (x, w, factor), v_add(x, v_mul(factor, w))) \
    ROW(clipped, 2, 1, (x, bound), v_max(v_sub(v_set(0), bound), v_min(bound, x)))

/* The longest row. */
#define LEAKY_MAX_INPUTS 4

/* Klambauer et al. 2017, scale and scale * alpha, each rounded once to double. */
#define LEAKY_SELU_SCALE 0x1.0cfabd6a91132p+0 /* 1.0507009873554804934... */
#define LEAKY_SELU_A 0x1.c212cc640f031p+0     /* 1.7580993408473768599... */

#endif
