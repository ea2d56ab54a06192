"""The least that any user of cached compiled code pays for: Numba and one cached kernel."""

import numba


@numba.njit(cache=True)
def total(x):
    out = 0.0
    for i in range(x.size):
        out += x[i]
    return out
