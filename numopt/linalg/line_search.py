"""Line search of More and Thuente, one trial at a time.

The search lives in a small float64 array, so a kernel can leave it to have a function evaluated
and come back: `begin` it at step 0, then hand every trial's value and slope to `propose`, which
writes the next step into ``search[STEP]``, until the caller's own test accepts a trial.
"""

from __future__ import annotations

import math

from numopt.core.jit import inner

# Places in the array of a search. LOW is the best step so far, HIGH the other end of the interval.
(
    STEP,
    LOW,
    LOW_F,
    LOW_SLOPE,
    HIGH,
    HIGH_F,
    HIGH_SLOPE,
    BRACKETED,
    FIRST_STAGE,
    START_F,
    START_SLOPE,
    WIDTH,
    OLD_WIDTH,
    LARGEST,
) = range(14)
SEARCH_SIZE = 14

DECREASE = 1e-3  # mu of the sufficient decrease f(a) <= f(0) + mu a f'(0)
CURVATURE = 0.9  # eta of |f'(a)| <= eta |f'(0)|
NARROW = 1e-3  # relative width of an interval not worth another trial


@inner
def begin(search, f, slope, step, largest):
    """Start at step 0, with value f and slope < 0; the first trial is `step`, none `largest`."""
    search[STEP] = step
    search[LOW] = search[HIGH] = 0.0
    search[LOW_F] = search[HIGH_F] = search[START_F] = f
    search[LOW_SLOPE] = search[HIGH_SLOPE] = search[START_SLOPE] = slope
    search[BRACKETED], search[FIRST_STAGE] = 0.0, 1.0
    search[WIDTH], search[OLD_WIDTH] = largest, 2.0 * largest
    search[LARGEST] = largest


@inner
def propose(search, f, slope):
    """Take in the trial at `search[STEP]`; whether there is room left for another one.

    The interval between LOW and HIGH always holds, once bracketed, a step that meets both
    conditions; it is refined by cubic and quadratic models and at least by 2/3 in two trials.
    """
    step = search[STEP]
    drop = DECREASE * search[START_SLOPE]
    if search[FIRST_STAGE] and f <= search[START_F] + step * drop and slope >= 0:
        search[FIRST_STAGE] = 0.0
    # The first stage looks for a minimiser of f(a) - mu a f'(0), which exists where f is bounded.
    tilt = 0.0
    if search[FIRST_STAGE] and f <= search[LOW_F] and f > search[START_F] + step * drop:
        tilt = drop
    # Without a bracket the next trial lies this far beyond the present one.
    near, far = step + 1.1 * (step - search[LOW]), step + 4.0 * (step - search[LOW])
    if search[LOW] == 0:
        near = 0.0
    bracketed = search[BRACKETED] != 0
    if bracketed:
        near, far = min(search[LOW], search[HIGH]), max(search[LOW], search[HIGH])
    low_f, high_f = search[LOW_F] - search[LOW] * tilt, search[HIGH_F] - search[HIGH] * tilt
    low_slope, high_slope = search[LOW_SLOPE] - tilt, search[HIGH_SLOPE] - tilt
    chosen, brackets = _model_step(
        search[LOW], low_f, low_slope, search[HIGH], high_f, high_slope,
        step, f - step * tilt, slope - tilt, bracketed, near, far,
    )  # fmt: skip
    if f - step * tilt > low_f:
        search[HIGH], search[HIGH_F], search[HIGH_SLOPE] = step, f, slope
    else:
        if (slope - tilt) * low_slope < 0:
            search[HIGH], search[HIGH_F] = search[LOW], search[LOW_F]
            search[HIGH_SLOPE] = search[LOW_SLOPE]
        search[LOW], search[LOW_F], search[LOW_SLOPE] = step, f, slope
    if brackets:
        search[BRACKETED] = 1.0
        width = abs(search[HIGH] - search[LOW])
        if width >= 0.66 * search[OLD_WIDTH]:
            chosen = 0.5 * (search[LOW] + search[HIGH])
        search[OLD_WIDTH], search[WIDTH] = search[WIDTH], width
        room = width > NARROW * max(search[LOW], search[HIGH])
    else:
        room = search[LARGEST] - step > NARROW * search[LARGEST]
    if not math.isfinite(chosen):  # a model overflowed
        chosen = 0.5 * (search[LOW] + search[HIGH]) if brackets else far
    if chosen > search[LOW]:
        chosen = min(chosen, 0.5 * (search[LOW] + search[LARGEST]))
    search[STEP] = chosen
    return room and chosen != search[LOW]


@inner
def shorten(search):
    """The trial lies outside the domain: look nearer to LOW, and never again as far."""
    if search[STEP] > search[LOW]:
        search[LARGEST] = search[STEP]
    search[STEP] = search[LOW] + 0.25 * (search[STEP] - search[LOW])


@inner
def _model_step(low, f_low, g_low, high, f_high, g_high, step, f, g, bracketed, near, far):
    """Next trial from models of the two or three points known, and whether they bracket."""
    if f > f_low:
        # The minimum lies between: the cubic's, or half-way to the quadratic's if that is nearer.
        ratio, _ = _cubic(low, f_low, g_low, step, f, g)
        cubic = low + ratio * (step - low)
        quadratic = low + 0.5 * g_low / ((f_low - f) / (step - low) + g_low) * (step - low)
        if abs(cubic - low) < abs(quadratic - low):
            return cubic, True
        return cubic + 0.5 * (quadratic - cubic), True
    ratio, bends = _cubic(step, f, g, low, f_low, g_low)
    cubic = step + ratio * (low - step)
    if g * g_low < 0:
        # The slope changed sign: of two models' minima the one farther from the trial.
        secant = step + g / (g - g_low) * (low - step)
        return (cubic if abs(cubic - step) > abs(secant - step) else secant), True
    if abs(g) < abs(g_low):
        # The slope flattens: the cubic counts only if its minimum lies beyond the trial.
        secant = step + g / (g - g_low) * (low - step)
        if not (ratio < 0 and bends):
            cubic = far if step > low else near
        if bracketed:
            chosen = cubic if abs(cubic - step) < abs(secant - step) else secant
            limit = step + 0.66 * (high - step)
            return (min(chosen, limit) if step > low else max(chosen, limit)), True
        chosen = cubic if abs(cubic - step) > abs(secant - step) else secant
        return min(max(chosen, near), far), False
    if bracketed:
        ratio, _ = _cubic(step, f, g, high, f_high, g_high)
        return step + ratio * (high - step), True
    return (far if step > low else near), False


@inner
def _cubic(a, f_a, g_a, b, f_b, g_b):
    """Minimum of the cubic through a and b as a + ratio (b - a), and whether it has one."""
    theta = 3.0 * (f_a - f_b) / (b - a) + g_a + g_b
    size = max(abs(theta), max(abs(g_a), abs(g_b)))
    root = max(0.0, (theta / size) ** 2 - (g_a / size) * (g_b / size))
    gamma = size * math.sqrt(root) if b > a else -size * math.sqrt(root)
    divisor = gamma - g_a + gamma + g_b
    return (gamma - g_a + theta) / divisor if divisor != 0 else math.inf, gamma != 0
