"""Anderson acceleration of fixed-point iterations, with a safeguard."""

from __future__ import annotations

import numpy as np

# Singular values of the memory, relative to the largest, below which directions are noise.
RCOND = 1e-12


class Anderson:
    r"""Type-II Anderson acceleration of :math:`w \leftarrow w + g(w)`.

    Keeps the last differences S of points and Y of residuals, and proposes
    :math:`w + g - (S + Y) \gamma` with :math:`\gamma = \arg\min |g - Y \gamma|_2`. A proposal is
    given up, and the plain step taken, if the residual at it is not at most twice the last one and
    below :math:`2 |g_0| (k + 1)^{-1.1}` after k accepted ones.

    Parameters
    ----------
    memory : int
        Differences kept.

    References
    ----------
    H. Walker, P. Ni, "Anderson acceleration for fixed-point iterations", SIAM J. Numer. Anal. 49
    (2011), doi:10.1137/10078356X. J. Zhang, B. O'Donoghue, S. Boyd, "Globally convergent type-I
    Anderson acceleration for nonsmooth fixed-point iterations", SIAM J. Optim. 30 (2020),
    arXiv:1808.03971.
    """

    def __init__(self, memory: int):
        self.memory = memory
        self.accepted = self.rejected = 0
        self.forget()

    def forget(self) -> None:
        """Drop the memory: the map has changed."""
        self._points: list[np.ndarray] = []
        self._residuals: list[np.ndarray] = []
        self._last: tuple[np.ndarray, np.ndarray, float] | None = None
        self._first = np.inf
        self._plain: np.ndarray | None = None
        self._count = 0

    def step(self, w: np.ndarray, g: np.ndarray) -> np.ndarray:
        """The next point, from w and its residual g."""
        size = float(np.linalg.norm(g))
        if self._plain is not None and self._last is not None:
            bound = 2 * self._first * (self._count + 1) ** -1.1
            if not (size <= bound and size <= 2 * self._last[2]):
                plain = self._plain
                self.rejected += 1
                self.forget()
                return plain
            self._count += 1
            self.accepted += 1
        if self._last is not None:
            self._points.append(w - self._last[0])
            self._residuals.append(g - self._last[1])
            del self._points[: -self.memory], self._residuals[: -self.memory]
        else:
            self._first = size
        self._last = w.copy(), g.copy(), size
        plain = w + g
        self._plain = None
        if len(self._residuals) < 2:
            return plain
        Y = np.array(self._residuals)
        gram, right = Y @ Y.T, Y @ g
        weight = 1 / np.sqrt(np.maximum(np.diag(gram), np.finfo(float).tiny))
        scaled = gram * weight * weight[:, None]
        gamma = weight * np.linalg.lstsq(scaled, weight * right, rcond=RCOND)[0]
        move = gamma @ (np.array(self._points) + Y)
        if not np.isfinite(move).all():
            return plain
        self._plain = plain
        return plain - move.astype(w.dtype, copy=False)
