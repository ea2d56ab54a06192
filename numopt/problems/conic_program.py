"""Convex quadratic programs over products of second-order cones."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from numopt.core.result import Certificate, Entry, Status
from numopt.core.validate import as_vector, require_count, require_length
from numopt.linalg.cones import Product
from numopt.linalg.sparse import CSR
from numopt.problems import _cone_kernels as kernels
from numopt.problems._base import Problem
from numopt.problems._qp_kernels import STRICTER
from numopt.problems.quadratic_program import PROOF_TOL, QuadraticProgram

# A point counts as feasible, for a ray to start from, if it misses the cones by this much.
NEAR = 1e-6

FORMULAS = {
    "primal": "max |b - Ax - P_K(b - Ax)| / (1 + max(|Ax|, |b - P_K(b - Ax)|))",
    "dual": "max(|Px + q + A'y|, |y - P_K*(y)|) / (1 + max(|Px|, |q|, |A'y|))",
    "gap": "|x'Px + q'x + b'P_K*(y)| / (1 + its largest term)",
}


class Cones(NamedTuple):
    """Sizes of the cones of a product, in the order of the rows."""

    zero: int = 0  # rows whose slack is 0: equations
    nonneg: int = 0  # rows whose slack is nonnegative: inequalities
    soc: tuple[int, ...] = ()  # rows of each second-order cone


@dataclass(frozen=True, eq=False)
class ConicProgram(Problem):
    r"""Convex quadratic program with linear and second-order cone constraints.

    .. math::
        \min_x \; \tfrac12 x^T P x + q^T x \quad\text{subject to}\quad A x + s = b, \;\;
        s \in K = \{0\}^{z} \times R_+^{l} \times Q_{k_1} \times Q_{k_2} \times \dots

    with :math:`Q_k = \{(t, v) \in R^k : |v|_2 \le t\}`, t being the first row of its block. The
    multipliers :math:`y \in K^*` (any number at equations, otherwise in the same cones) satisfy
    :math:`P x + q + A^T y = 0` and :math:`s^T y = 0`. The certificate at (x, y), from these data,
    with the exact projections :math:`P_K, P_{K^*}`:

    - ``primal``: largest entry of :math:`b - Ax - P_K(b - Ax)` over 1 + the largest magnitude in
      Ax and in the nearest vector that is feasible.
    - ``dual``: largest entry of :math:`P x + q + A^T y`, or of :math:`y - P_{K^*}(y)`, over 1 +
      the largest term.
    - ``gap``: :math:`|x^T P x + q^T x + b^T P_{K^*}(y)|` over 1 + the largest of the three terms.

    Where P is not positive semidefinite, a gate ``convexity`` of 1 says so: there is no success.

    Parameters
    ----------
    P : array or scipy.sparse matrix of shape (n, n), or None
        Symmetric, both triangles; None stands for 0.
    q : array of shape (n,)
    A : array or scipy.sparse matrix of shape (m, n), optional
    b : array of shape (m,), optional
    cones : dict, optional
        Rows of each cone, in this order: ``{"zero": z, "nonneg": l, "soc": [k_1, k_2, ...]}``;
        what is left out is 0. They add up to m. A second-order cone of size 1 is a half-line.

    Attributes
    ----------
    P, A : scipy.sparse.csc_array
        Stored by columns, in float64; those passed in, where they already are.
    cones : tuple
        ``(zero, nonneg, soc)``, with these names.

    Raises
    ------
    ValueError, TypeError
        Wrong shapes, NaN or infinite entries, an asymmetric P, cones that do not add up to the
        rows of A or have a size below 1.

    Examples
    --------
    The point of the unit disk where -x - y is least:

    >>> import numpy as np
    >>> from numopt.problems import ConicProgram
    >>> A = np.array([[0.0, 0.0], [-1.0, 0.0], [0.0, -1.0]])
    >>> problem = ConicProgram(None, [-1.0, -1.0], A, [1.0, 0.0, 0.0], {"soc": [3]})
    >>> round(problem.certificate([0.5**0.5] * 2, y=[2**0.5, -1.0, -1.0]).worst(1.0), 12)
    0.0
    """

    default_solver: ClassVar[str] = "conic-ipm"
    certificate_parts: ClassVar[tuple[str, ...]] = ("y",)

    P: Any
    q: Any
    A: Any = None
    b: Any = None
    cones: Any = None

    def __post_init__(self) -> None:
        own = self.__dict__
        # Without sides, a quadratic program checks and stores P, q and A in the same way.
        rows = QuadraticProgram(self.P, self.q, self.A)
        own["P"], own["q"], own["A"], m = rows.P, rows.q, rows.A, rows.n_rows
        if self.b is None:
            if m:
                raise ValueError(f"b is missing; it needs {m} entries, one per row of A")
            own["b"] = np.zeros(0)
        own["cones"] = _cones(self.cones, m)
        self._set_vectors(rows.size, m, ("b",))

    def _set_vectors(self, n: int, m: int, names: Any) -> None:
        own = self.__dict__
        for name in names:
            value = as_vector(own[name], name, np.float64)
            value = require_length(value, n if name == "q" else m, name)
            own[name] = value if value.flags.carray else value.copy()
        A, P = self.A, self.P
        zero, nonneg, soc = self.cones
        starts = np.cumsum(np.array((zero + nonneg, *soc), np.int64))
        own["_arrays"] = kernels.Arrays(
            CSR(P.data, P.indices, P.indptr), CSR(A.data, A.indices, A.indptr), self.q, self.b,
            Product(zero, zero + nonneg, starts),
        )  # fmt: skip

    @property
    def arrays(self) -> kernels.Arrays:
        """The data as compiled code takes them; P and A by columns."""
        arrays: kernels.Arrays = self.__dict__["_arrays"]
        return arrays

    @property
    def size(self) -> int:
        """Number of variables n."""
        return self.q.size  # type: ignore[no-any-return]

    @property
    def n_rows(self) -> int:
        """Number of rows m."""
        return self.b.size  # type: ignore[no-any-return]

    def replace(self, **changes: Any) -> Self:
        """A related problem; what was computed from unchanged data is kept.

        Examples
        --------
        >>> from numopt.problems import ConicProgram
        >>> problem = ConicProgram([[2.0]], [-2.0], [[1.0]], [1.0], {"nonneg": 1})
        >>> problem.replace(b=[3.0]).b.tolist()
        [3.0]
        """
        if not changes or not set(changes) <= {"q", "b"}:
            return super().replace(**changes)
        # Checking P and A again would cost more than many a solve.
        memo, family = self._caches()
        related = object.__new__(type(self))
        fields = ("P", "q", "A", "b", "cones")
        related.__dict__.update({name: self.__dict__[name] for name in fields})
        related.__dict__.update(changes)
        related._set_vectors(self.size, self.n_rows, changes)
        related.__dict__.update(_memo=dict(memo), _family=family)
        return related

    # ---- certificates ----------------------------------------------------------------------------

    def objective(self, x: Any, **_: Any) -> float:
        """x'Px/2 + q'x."""
        x = self._vector(x, "x", self.size)
        return float(x @ (self.P @ x) / 2 + self.q @ x)

    def slack(self, x: Any) -> np.ndarray:
        """The member s of the cones nearest to b - Ax."""
        s = np.empty(self.n_rows)
        kernels.slack(self.arrays, self._vector(x, "x", self.size), s)
        return s

    def certificate(self, x: Any, y: Any = None) -> Certificate:
        """Primal, dual and gap residual; multipliers not given are 0."""
        *residuals, fun = kernels.kkt_residuals(
            self.arrays, self._vector(x, "x", self.size), self._vector(y, "y", self.n_rows)
        )
        entries = {
            name: Entry(value, FORMULAS[name])
            for name, value in zip(FORMULAS, residuals, strict=True)
        }
        if self.convex:
            return Certificate("global", entries, fun)
        entries["convexity"] = Entry(1.0, "1 where P is not positive semidefinite")
        return Certificate("stationary", entries, fun)

    def check_infeasible(self, y: Any) -> Certificate:
        r"""Judge a Farkas vector: y in the dual cone with :math:`A^T y = 0, b^T y < 0`.

        Every feasible x gives :math:`0 \le s^T y = b^T y - x^T A^T y`; the proof's value is
        :math:`-b^T y` for y of largest magnitude 1. With a residual :math:`r = A^T y` there still
        is no feasible point with :math:`|x|_1 < value / |r|_\infty`.

        Returns
        -------
        Certificate
            ``value`` and the gate ``residual``: :math:`|r|_\infty` times 1 + the largest
            :math:`|b_i|` in units of its row, over the value.
        """
        return self.repaired_farkas(y)[1]

    def repaired_farkas(self, y: Any) -> tuple[np.ndarray, Certificate]:
        """Multipliers moved into the dual cone and scaled to 1, and their certificate."""
        y = self._vector(y, "y", self.n_rows).copy()
        value, r, relative, rounding = kernels.farkas_residual(self.arrays, y)
        residual = _ratio(r * (1 + self._reaches[0]), value, rounding)
        entries = {
            "residual": Entry(
                max(residual, STRICTER * relative),
                "max(|A'y| (1 + reach of b) / value, 100 |A'y| per column)",
                tol=PROOF_TOL,
            ),
            "value": Entry(value, "-b'y for y in the dual cone, up to 1", gate=False),
        }
        return y, Certificate("global", entries, np.inf, PROOF_TOL)

    def check_unbounded(self, ray: Any) -> Certificate:
        r"""Judge a ray: a direction in which the objective falls for ever.

        Asks for :math:`q^T d < 0, P d = 0` and :math:`-A d \in K` for d of largest magnitude 1. The
        problem is unbounded if it has a feasible point at all.

        Returns
        -------
        Certificate
            ``value`` is :math:`-q^T d`, the gate ``residual`` what fails of the rest, in the units
            of the value.
        """
        return self.repaired_ray(ray)[1]

    def repaired_ray(self, ray: Any) -> tuple[np.ndarray, Certificate]:
        """A ray scaled to 1, and its certificate."""
        d = self._vector(ray, "ray", self.size).copy()
        reach, rows = self._reaches
        value, curved, violation, relative, rounding = kernels.ray_residual(self.arrays, rows, d)
        residual = max(curved * (1 + reach), violation * np.abs(self.q).max(initial=0.0))
        entries = {
            "residual": Entry(
                max(_ratio(residual, value, rounding), STRICTER * relative),
                "max(|Pd| (1 + reach of b) / value, |q| distance of -Ad to K per row / value, "
                "100 of both per row)",
                tol=PROOF_TOL,
            ),
            "value": Entry(value, "-q'd for |d| = 1", gate=False),
        }
        return d, Certificate("global", entries, -np.inf, PROOF_TOL)

    def confirms(self, status: Status, point: Any) -> bool:
        """Whether `farkas` or `ray` of a point prove the status."""
        if status is Status.INFEASIBLE:
            return self.check_infeasible(point["farkas"]).met(PROOF_TOL)
        # In units of each cone's own b: far along a ray, anything is small beside Ax.
        outside = np.abs(self.b - self.A @ point["x"] - self.slack(point["x"]))
        unit, start = 1 + np.abs(self.b), self.cones.zero + self.cones.nonneg
        for size in self.cones.soc:
            unit[start : start + size] = unit[start : start + size].max()
            start += size
        feasible = (outside <= NEAR * unit).all()
        return bool(feasible) and self.check_unbounded(point["ray"]).met(PROOF_TOL)

    # ---- convexity -------------------------------------------------------------------------------

    @property
    def convex(self) -> bool:
        """Whether P is positive semidefinite, up to 1e-10 of its diagonal."""
        return self.negative_curvature() is None

    def negative_curvature(self) -> tuple[int, np.ndarray | None] | None:
        """None if P is positive semidefinite; else a row where that fails and d with d'Pd < 0."""

        def find() -> tuple[int, np.ndarray | None] | None:
            return QuadraticProgram(self.P, self.q).negative_curvature()

        return self.cached("curvature", (self.P,), find)

    @property
    def _reaches(self) -> tuple[float, np.ndarray]:
        return self.cached("reaches", (self.A, self.b), lambda: kernels.reaches(self.arrays))

    def _vector(self, value: Any, name: str, size: int) -> np.ndarray:
        if type(value) is np.ndarray and value.dtype == np.float64 and value.shape == (size,):
            return value if value.flags.carray else value.copy()
        if value is None:
            return np.zeros(size)
        value = np.array(value, np.float64)
        if value.shape != (size,):
            raise ValueError(f"{name} has shape {value.shape}, expected ({size},)")
        return value

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in super().__getstate__().items() if key != "_arrays"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._set_vectors(self.q.size, self.A.shape[0], ())


def _ratio(residual: float, value: float, rounding: float) -> float:
    """Residual in units of the value; inf where the value is not surely positive."""
    return residual / value if value > 100 * rounding and value > 0 else np.inf


def _cones(value: Any, m: int) -> Cones:
    """Sizes of cones that add up to m rows."""
    if not isinstance(value, Cones):
        if value is not None and not isinstance(value, Mapping):
            raise TypeError(
                f"cones must be a dict such as {{'zero': 1, 'nonneg': 2, 'soc': [3]}}, got "
                f"{type(value).__name__}"
            )
        value = dict(value or {})
        for key in value:
            if key not in Cones._fields:
                near = difflib.get_close_matches(str(key), Cones._fields, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"known: {Cones._fields}"
                raise ValueError(f"cones has the key {key!r}; {hint}")
        soc = value.get("soc", ())
        if np.ndim(soc) != 1:
            raise TypeError(f"cones['soc'] must be a list of sizes, got {soc!r}")
        value = Cones(value.get("zero", 0), value.get("nonneg", 0), tuple(soc))
    require_count(value.zero, "cones['zero']")
    require_count(value.nonneg, "cones['nonneg']")
    for k, size in enumerate(value.soc):
        require_count(size, f"cones['soc'][{k}]", 1)
    total = value.zero + value.nonneg + sum(value.soc)
    if total != m:
        raise ValueError(f"cones have {total} rows in all but A has {m}; they must be equal")
    return Cones(int(value.zero), int(value.nonneg), tuple(map(int, value.soc)))
