"""Scalar penalties in 50 digits: their values, and every point where their prox can lie.

For each penalty ``phi(z)`` at z >= 0, and ``candidates(t, s)``: the corners and the stationary
points of (z - t)^2 / 2 + s phi(z), t > 0, on each piece. The least of the values there is the
minimum.
"""

from mpmath import mp, mpf

mp.dps = 50
# The doubles that the blocks of the table hold, exactly.
ALPHA, RATIO, GAMMA, A, EPS, THETA, DELTA = (
    mpf(number) for number in (0.7, 0.3, 3.0, 3.7, 0.3, 1.3, 1.3)
)


def l1(t, s):
    return [t - s * ALPHA]


def elastic_net(t, s):
    return [(t - s * ALPHA * RATIO) / (1 + s * ALPHA * (1 - RATIO))]


def mcp(t, s):
    middle = [(t - s * ALPHA) / (1 - s / GAMMA)] if s != GAMMA else []
    return [*middle, GAMMA * ALPHA, t]


def mcp_value(z):
    return ALPHA * z - z * z / (2 * GAMMA) if z < GAMMA * ALPHA else GAMMA * ALPHA**2 / 2


def scad(t, s):
    middle = [((A - 1) * t - s * A * ALPHA) / (A - 1 - s)] if s != A - 1 else []
    return [t - s * ALPHA, *middle, ALPHA, A * ALPHA, t]


def scad_value(z):
    if z <= ALPHA:
        return ALPHA * z
    if z < A * ALPHA:
        return ALPHA * z - (z - ALPHA) ** 2 / (2 * (A - 1))
    return (A + 1) * ALPHA**2 / 2


def log_sum(t, s):
    square = (t + EPS) ** 2 - 4 * s * ALPHA
    return [(t - EPS + mp.sqrt(square)) / 2] if square >= 0 else []


def capped(t, s):
    return [t - s * ALPHA, THETA, t]


def power(exponent):
    def candidates(t, s):
        """The larger root of z + s alpha q z^(q - 1) = t, by Newton's method from t."""
        z, c = t, s * ALPHA * exponent
        for _ in range(200):
            slope = 1 + c * (exponent - 1) * z ** (exponent - 2)
            if slope <= 0:
                return []
            new = z - (z + c * z ** (exponent - 1) - t) / slope
            if new <= 0:
                return []
            if abs(new - z) <= mpf(10) ** -48 * z:
                return [new]
            z = new
        return []

    return candidates


def huber(t, s):
    return [t / (1 + s * ALPHA), t - s * ALPHA * DELTA]


def huber_value(z):
    return ALPHA * (z * z / 2 if z <= DELTA else DELTA * (z - DELTA / 2))


# Name of the row in the table -> phi, candidates, slope of phi at z > 0.
ORACLES = {
    "L1": (lambda z: ALPHA * z, l1),
    "ElasticNet": (lambda z: ALPHA * (RATIO * z + (1 - RATIO) * z * z / 2), elastic_net),
    "Ridge": (lambda z: ALPHA * z * z / 2, lambda t, s: [t / (1 + s * ALPHA)]),
    "Huber": (huber_value, huber),
    "MCP": (mcp_value, mcp),
    "SCAD": (scad_value, scad),
    "LogSum": (lambda z: ALPHA * mp.log1p(z / EPS), log_sum),
    "CappedL1": (lambda z: ALPHA * min(z, THETA), capped),
    "L0": (lambda z: ALPHA if z else mpf(0), lambda t, s: [t]),
    "LHalf": (lambda z: ALPHA * mp.sqrt(z), power(mpf(1) / 2)),
    "LTwoThirds": (lambda z: ALPHA * mp.cbrt(z) ** 2, power(mpf(2) / 3)),
}


def best(name, t, s):
    """The minimiser of (z - t)^2 / 2 + s phi(z), the smaller one at a tie, and the objective."""
    phi, candidates = ORACLES[name]

    def objective(z):
        return (z - t) ** 2 / 2 + s * phi(z)

    points = [mpf(0), *(z for z in candidates(t, s) if z > 0)]
    return min(points, key=lambda z: (objective(z), z)), objective
