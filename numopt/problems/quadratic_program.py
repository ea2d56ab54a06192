"""Convex quadratic programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from numopt.core.result import Certificate, Entry, Status
from numopt.core.validate import as_vector
from numopt.linalg.sparse import CSR
from numopt.problems import _qp_data as data
from numopt.problems import _qp_kernels as kernels
from numopt.problems._base import Problem
from numopt.problems._qp_convexity import curvature
from numopt.problems._qp_data import FLOAT

# A proof that there is no solution leaves a residual of at most this, relative to its value.
PROOF_TOL = 1e-8
VECTORS = ("q", "l", "u", "lb", "ub")

FORMULAS = {
    "primal": "distance of Ax to [l, u] / (1 + max |Ax|), of x to [lb, ub] / (1 + max |x|)",
    "dual": "max |Px + q + A'y + z_ub - z_lb| / (1 + its largest term)",
    "gap": "|x'Px + q'x + sup y'[l, u] + sup (z_ub - z_lb)'[lb, ub]| / (1 + its largest term)",
}


@dataclass(frozen=True, eq=False)
class QuadraticProgram(Problem):
    r"""Convex quadratic program.

    .. math::
        \min_x \; \tfrac12 x^T P x + q^T x + \text{offset} \quad\text{subject to}\quad
        l \le A x \le u, \;\; lb \le x \le ub

    with multipliers y of the rows and :math:`z_{lb}, z_{ub} \ge 0` of the bounds,
    :math:`P x + q + A^T y + z_{ub} - z_{lb} = 0`, y > 0 only at an upper side and y < 0 only at a
    lower one. The certificate at (x, y, z_lb, z_ub), all of it from these data:

    - ``primal``: largest distance of Ax to [l, u] over 1 + the largest magnitude in Ax and its
      projection; the same for x and the bounds; the larger of the two.
    - ``dual``: largest residual of the equation above over 1 + its largest term; multipliers of
      the wrong sign or of infinite bounds are part of the residual.
    - ``gap``: :math:`|x^T P x + q^T x + u^T y_+ - l^T y_- + ub^T z_{ub} - lb^T z_{lb}|` over 1 +
      the largest of the three terms, what rounding may hide in these sums included.

    Where P is not positive semidefinite, a gate ``convexity`` of 1 says so: there is no success.

    Parameters
    ----------
    P : array or scipy.sparse matrix of shape (n, n), or None
        Symmetric, both triangles; None stands for 0 (a linear program).
    q : array of shape (n,)
    A : array or scipy.sparse matrix of shape (m, n), optional
    l, u : float or array of shape (m,), optional
        Sides of the rows, -inf or inf where there is none; equal for an equation.
    lb, ub : float or array of shape (n,), optional
        Bounds on x.
    offset : float, default 0
        Added to the objective.

    Attributes
    ----------
    P, A : scipy.sparse.csc_array
        Stored by columns, in float64; those passed in, where they already are.

    Raises
    ------
    ValueError, TypeError
        Wrong shapes, NaN, infinite entries of P, q or A, a lower bound of +inf, an asymmetric P.
        Crossed bounds (l > u) are no error: the problem is infeasible.

    Examples
    --------
    >>> from numopt.problems import QuadraticProgram
    >>> problem = QuadraticProgram([[2.0, 0.0], [0.0, 2.0]], [-2.0, -6.0], lb=0, ub=[2.0, 2.0])
    >>> problem.objective([1.0, 2.0])
    -9.0
    >>> certificate = problem.certificate([1.0, 2.0], z_ub=[0.0, 2.0])
    >>> certificate.met(1e-12)
    True
    """

    default_solver: ClassVar[str] = "ipm"
    certificate_parts: ClassVar[tuple[str, ...]] = ("y", "z_lb", "z_ub")

    P: Any
    q: Any
    A: Any = None
    l: Any = None  # noqa: E741
    u: Any = None
    lb: Any = None
    ub: Any = None
    offset: float = 0.0

    def __post_init__(self) -> None:
        own = self.__dict__
        own["offset"] = data.offset(self.offset)
        n = as_vector(self.q, "q", np.float64).size
        m = 0
        if self.A is not None:
            own["A"] = data.by_columns(self.A, "A")
            m = own["A"].shape[0]
            if own["A"].shape[1] != n:
                raise ValueError(
                    f"A has shape {own['A'].shape} but q has {n} entries; A needs {n} columns"
                )
        else:
            for name in ("l", "u"):
                if getattr(self, name) is not None and np.size(getattr(self, name)):
                    raise ValueError(f"{name} was given without A; bounds on x are lb and ub")
            own["A"] = data.empty(0, n)
        own["P"] = data.empty(n, n) if self.P is None else data.by_columns(self.P, "P")
        if own["P"].shape != (n, n):
            raise ValueError(
                f"P has shape {own['P'].shape} but q has {n} entries; P must be {(n, n)}"
            )
        own["P"] = data.symmetric(own["P"])
        self._set_matrices()
        self._set_vectors(n, m, VECTORS)

    def _set_vectors(self, n: int, m: int, names: Any) -> None:
        """Check and lower the vectors that are new, and collect what compiled code takes."""
        own = self.__dict__
        for name in names:
            value, size = own[name], m if name in ("l", "u") else n
            # What needs a second look: the rest is read by compiled code.
            if (
                type(value) is not np.ndarray
                or value.dtype is not FLOAT
                or value.shape != (size,)
                or not value.flags.carray
            ):
                own[name] = data.vector(value, name, size)
        vectors = own["q"], own["l"], own["u"], own["lb"], own["ub"]
        if not kernels.acceptable(*vectors):
            for name in names:
                data.vector(own[name], name, own[name].size)
        own["_flat"] = own["_matrices"] + vectors
        own.pop("_arrays", None)

    def _set_matrices(self, same_layout: bool = False) -> None:
        """Lower P and A; their indices to those of the problem this one came of, if equal."""
        own = self.__dict__
        P, A = own["P"], own["A"]
        if not same_layout:
            new = P.indices, P.indptr, A.indices, A.indptr
            if "_pattern" not in own or not all(map(data.equal, own["_pattern"], new)):
                own["_pattern"] = new
        pattern = own["_pattern"]
        own["_matrices"] = P.data, *pattern[:2], A.data, *pattern[2:]

    @property
    def pattern(self) -> tuple[np.ndarray, ...]:
        """Row indices and pointers of P and of A, the same objects in siblings of one pattern."""
        pattern: tuple[np.ndarray, ...] = self.__dict__["_pattern"]
        return pattern

    @property
    def arrays(self) -> kernels.Arrays:
        """The data as compiled code takes them; P and A by columns."""
        own = self.__dict__
        if "_arrays" not in own:
            flat: Any = self.flat
            own["_arrays"] = kernels.Arrays(CSR(*flat[:3]), CSR(*flat[3:6]), *flat[6:])
        arrays: kernels.Arrays = own["_arrays"]
        return arrays

    @property
    def matrices(self) -> tuple[np.ndarray, ...]:
        """The parts of P and of A; the same tuple in siblings that share both."""
        matrices: tuple[np.ndarray, ...] = self.__dict__["_matrices"]
        return matrices

    @property
    def flat(self) -> tuple[np.ndarray, ...]:
        """The same in one plain tuple, which takes less time to pass."""
        flat: tuple[np.ndarray, ...] = self.__dict__["_flat"]
        return flat

    @property
    def size(self) -> int:
        """Number of variables n."""
        return int(self.q.size)

    @property
    def n_rows(self) -> int:
        """Number of rows m."""
        return int(self.l.size)

    def replace(self, **changes: Any) -> Self:
        """A related problem; what was computed from unchanged data is kept.

        Examples
        --------
        >>> from numopt.problems import QuadraticProgram
        >>> problem = QuadraticProgram([[2.0]], [-2.0], lb=0)
        >>> problem.replace(q=[1.0]).q.tolist()
        [1.0]
        """
        own = self.__dict__
        vectors = [name for name in changes if name in VECTORS]
        others = [name for name in changes if name not in (*VECTORS, "offset")]
        if "offset" in changes:
            changes["offset"] = data.offset(changes["offset"])
        same_layout = True
        for name in others:
            M = changes[name]
            if name not in ("P", "A") or getattr(M, "shape", None) != own[name].shape:
                return super().replace(**changes)
            known = data.same_layout(M, own[name])
            changes[name] = M if known else data.by_columns(M, name)
            if name == "P":
                changes[name] = data.symmetric(changes[name])
            same_layout = same_layout and known and changes[name] is M
        # Checking again what stays would cost more than many a solve.
        memo, family = self._caches()
        related = object.__new__(type(self))
        related.__dict__.update(own)
        related.__dict__.update(changes, _memo=dict(memo), _family=family)
        if others:
            related._set_matrices(same_layout)
        if "P" in changes:
            related.__dict__.pop("_convex", None)
        related._set_vectors(own["q"].size, own["l"].size, vectors)
        return related

    # ---- certificates ----------------------------------------------------------------------------

    def objective(self, x: Any, **_: Any) -> float:
        """x'Px/2 + q'x + offset."""
        value = kernels.objective(self.arrays, self._vector(x, "x", self.size))
        return float(value) + self.offset

    def certificate(self, x: Any, y: Any = None, z_lb: Any = None, z_ub: Any = None) -> Certificate:
        """Primal, dual and gap residual; multipliers not given are 0."""
        n, m = self.size, self.n_rows
        residuals: Any = kernels.kkt_residuals(
            self.arrays, self._vector(x, "x", n), self._vector(y, "y", m),
            self._vector(z_lb, "z_lb", n), self._vector(z_ub, "z_ub", n),
        )  # fmt: skip
        return self.judged(*residuals)

    def judged(
        self, primal: float, dual: float, gap: float, fun: float, tol: float | None = None
    ) -> Certificate:
        """The certificate that goes with what `kkt_residuals` found in these data."""
        fun += self.offset
        entries = {
            "primal": Entry(primal, FORMULAS["primal"], True, tol),
            "dual": Entry(dual, FORMULAS["dual"], True, tol),
            "gap": Entry(gap, FORMULAS["gap"], True, tol),
        }
        if self.convex:
            return Certificate("global", entries, fun, tol)
        entries["convexity"] = Entry(1.0, "1 where P is not positive semidefinite", True, tol)
        return Certificate("stationary", entries, fun, tol)

    def check_infeasible(self, y: Any, z_lb: Any = None, z_ub: Any = None) -> Certificate:
        r"""Judge a Farkas vector: multipliers that no feasible point allows.

        With :math:`A^T y + z_{ub} - z_{lb} = 0`, every feasible x gives
        :math:`0 \le u^T y_+ - l^T y_- + ub^T z_{ub} - lb^T z_{lb}`; the proof's value is by how
        much the right-hand side is below 0, for multipliers of largest magnitude 1. With a
        residual r in the equation there still is no feasible point with
        :math:`|x|_1 < value / |r|_\infty`.

        Returns
        -------
        Certificate
            ``value`` and the gate ``residual``: :math:`|r|_\infty` times 1 + the largest distance
            of a bounding hyperplane from 0, over the value.
        """
        _, certificate = self.repaired_farkas(y, z_lb, z_ub)
        return certificate

    def repaired_farkas(
        self, y: Any, z_lb: Any = None, z_ub: Any = None
    ) -> tuple[tuple[np.ndarray, ...], Certificate]:
        """Multipliers scaled to 1, with residuals moved to finite bounds, and their certificate."""
        n = self.size
        parts = tuple(
            self._vector(value, name, size).copy()
            for value, name, size in ((y, "y", self.n_rows), (z_lb, "z_lb", n), (z_ub, "z_ub", n))
        )
        crossed = self.crossed()
        if crossed is not None:
            value, residual = crossed[1], 0.0
        else:
            value, r, relative, rounding = kernels.farkas_residual(self.arrays, *parts)
            residual = _ratio(r * (1 + self._reaches[0]), value, rounding)
            residual = max(residual, kernels.STRICTER * relative)
        entries = {
            "residual": Entry(
                residual,
                "max(|A'y + z_ub - z_lb| (1 + reach of the bounds) / value, "
                "100 of the same per column)",
                tol=PROOF_TOL,
            ),
            "value": Entry(
                value, "-(u'y+ - l'y- + ub'z_ub - lb'z_lb) for multipliers up to 1", gate=False
            ),
        }
        return parts, Certificate("global", entries, np.inf, PROOF_TOL)

    def check_unbounded(self, ray: Any) -> Certificate:
        r"""Judge a ray: a direction in which the objective falls for ever.

        Asks for :math:`q^T d < 0, P d = 0` and that A d and d stay within every finite side, for
        d of largest magnitude 1. The problem is unbounded if it has a feasible point at all.

        Returns
        -------
        Certificate
            ``value`` is :math:`-q^T d`, the gate ``residual`` what fails of the rest, in the units
            of the value.
        """
        _, certificate = self.repaired_ray(ray)
        return certificate

    def repaired_ray(self, ray: Any) -> tuple[np.ndarray, Certificate]:
        """A ray scaled to 1 and clipped to the bounds' cone, and its certificate."""
        d = self._vector(ray, "ray", self.size).copy()
        reach, rows = self._reaches
        value, curved, violation, relative, rounding = kernels.ray_residual(self.arrays, rows, d)
        cost = float(np.abs(self.q).max(initial=0.0))
        residual = max(curved * (1 + reach), violation * cost)
        entries = {
            "residual": Entry(
                max(_ratio(residual, value, rounding), kernels.STRICTER * relative),
                "max(|Pd| (1 + reach of the bounds) / value, |q| violation of Ad per row / value, "
                "100 of both per row)",
                tol=PROOF_TOL,
            ),
            "value": Entry(value, "-q'd for |d| = 1", gate=False),
        }
        return d, Certificate("global", entries, -np.inf, PROOF_TOL)

    def confirms(self, status: Status, point: Any) -> bool:
        """Whether `farkas` or `ray` of a point prove the status."""
        if status is Status.INFEASIBLE:
            return self.check_infeasible(*point["farkas"]).met(PROOF_TOL)
        return self.nearly_feasible(point["x"]) and self.check_unbounded(point["ray"]).met(
            PROOF_TOL
        )

    def nearly_feasible(self, x: np.ndarray, tol: float = 1e-6) -> bool:
        """Whether x leaves no side by more than tol in units of that side.

        The certificate measures in units of Ax: far away along a ray, any violation is small.
        """
        sides = ((self.A @ x, self.l, self.u), (x, self.lb, self.ub))
        return all(
            bool((low - v <= tol * (1 + np.abs(low))).all())
            and bool((v - high <= tol * (1 + np.abs(high))).all())
            for v, low, high in sides
        )

    def crossed(self) -> tuple[str, float, tuple[np.ndarray, ...]] | None:
        """The first crossed pair of sides (l > u or lb > ub): in words, by how much, and where.

        The last is a Farkas vector with ones at that row or variable.
        """
        if not ((self.l > self.u).any() or (self.lb > self.ub).any()):
            return None
        y, z_lb, z_ub = np.zeros(self.n_rows), np.zeros(self.size), np.zeros(self.size)
        bad = self.l > self.u
        if bad.any():
            i = int(np.argmax(bad))
            low, high = self.l[i], self.u[i]
            y[i] = 1.0
            text = f"Row {i} has l = {low:.10g} > u = {high:.10g}."
        else:
            i = int(np.argmax(self.lb > self.ub))
            low, high = self.lb[i], self.ub[i]
            z_lb[i] = z_ub[i] = 1.0
            text = f"Variable {i} has lb = {low:.10g} > ub = {high:.10g}."
        return text, float(low - high), (y, z_lb, z_ub)

    # ---- convexity -------------------------------------------------------------------------------

    @property
    def convex(self) -> bool:
        """Whether P is positive semidefinite, up to 1e-10 of its diagonal."""
        own = self.__dict__
        if "_convex" not in own:
            own["_convex"] = self.negative_curvature() is None
        return bool(own["_convex"])

    def negative_curvature(self) -> tuple[int, np.ndarray | None] | None:
        """None if P is positive semidefinite; else a row where that fails and d with d'Pd < 0."""
        return self.cached("curvature", (self.P,), lambda: curvature(self.P))

    @property
    def _reaches(self) -> tuple[float, np.ndarray]:
        parts = (self.A, self.l, self.u, self.lb, self.ub)
        return self.cached("reaches", parts, lambda: kernels.reaches(self.arrays))

    def split(self, point: np.ndarray) -> dict[str, np.ndarray]:
        """Parts of a vector that holds x, y, z_lb and z_ub one after the other."""
        n, m = self.q.size, self.l.size
        return {
            "x": point[:n], "y": point[n : n + m],
            "z_lb": point[n + m : 2 * n + m], "z_ub": point[2 * n + m :],
        }  # fmt: skip

    def _vector(self, value: Any, name: str, size: int) -> np.ndarray:
        if type(value) is np.ndarray and value.dtype is FLOAT and value.shape == (size,):
            return value if value.flags.carray else value.copy()
        if value is None:
            return np.zeros(size)
        value = np.array(value, np.float64)
        if value.shape != (size,):
            raise ValueError(f"{name} has shape {value.shape}, expected ({size},)")
        return value

    def __getstate__(self) -> dict[str, Any]:
        lowered = "_arrays", "_flat", "_matrices", "_pattern", "_convex"
        return {key: value for key, value in super().__getstate__().items() if key not in lowered}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._set_matrices()
        self._set_vectors(self.q.size, self.A.shape[0], ())


def _ratio(residual: float, value: float, rounding: float) -> float:
    """Residual in units of the value; inf where the value is not surely positive."""
    return residual / value if value > 100 * rounding and value > 0 else np.inf
