"""Passes the output of tests/c/exhaustive.c on, with a verdict from mpmath behind each line "doubtful ROW ALPHA X Y".

The status is 1 if one of them is misrounded where correct rounding is promised: ELU with alpha = 1, and SELU.
"""

import sys
from pathlib import Path

import mpmath
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
import reference

status = 0
for line in sys.stdin:
    text = line.rstrip("\n")
    if text.startswith("doubtful "):
        _, row, *numbers = text.split()
        alpha, x, y = map(float.fromhex, numbers)
        grad = [1.0] if row.endswith("_backward") else []
        given = [*grad, x] if row.startswith("selu") else [*grad, x, alpha]
        with mpmath.workprec(300):
            exact = getattr(reference, row)(*(np.array([mpmath.mpf(number)], object) for number in given))
            right = reference.ulps(np.array([y], np.float32), exact)[0] <= 0.5
        text += ": correctly rounded" if right else ": misrounded"
        status |= not right and row in ("elu", "selu") and alpha == 1
    print(text)
sys.exit(status)
