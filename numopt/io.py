"""Optimisation problems and results as files."""

from __future__ import annotations

import gzip
import json
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from numopt.problems.linear_program import FIELDS as LINEAR
from numopt.problems.linear_program import LinearProgram
from numopt.problems.quadratic_program import QuadraticProgram

# Files write infinity as a number: bounds from here on are none.
INFINITE = 1e20
QUADRATIC = ("P", "q", "A", "l", "u", "lb", "ub", "offset")
BY_HIGHS = (".qps", ".mps", ".lp")
PARTS = ("data", "indices", "indptr", "shape")
OUTPUTS = (".json", ".npz")


def read_problem(path: Any) -> QuadraticProgram:
    """Read a linear or quadratic program.

    Parameters
    ----------
    path : str or Path
        ``.qps``, ``.mps`` or ``.lp``, also gzipped (read by HiGHS; maximisation becomes
        minimisation of the negative), or ``.npz`` with arrays named as the fields of
        `LinearProgram` (c, A, l, u, lb, ub, offset) or `QuadraticProgram` (the same with P and q
        for c); sparse matrices as ``A_data``, ``A_indices``, ``A_indptr`` and ``A_shape``, by
        columns.
        Bounds of magnitude 1e20 and more mean that there is none.

    Returns
    -------
    LinearProgram or QuadraticProgram

    Raises
    ------
    ValueError
        Not such a file, or not all of one; arrays of other names; integer variables.
    FileNotFoundError

    Examples
    --------
    >>> import numpy as np, os, tempfile
    >>> from numopt.io import read_problem
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "problem.npz")
    ...     np.savez(path, P=np.eye(2), q=np.array([1.0, -2.0]), lb=np.zeros(2))
    ...     read_problem(path).objective([0.0, 2.0])
    -2.0
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    ending = path.suffix.lower()
    if ending == ".npz":
        return _from_npz(path)
    if (Path(path.stem).suffix.lower() if ending == ".gz" else ending) in BY_HIGHS:
        return _from_highs(path)
    raise ValueError(f"{path.name} must end in .qps, .mps, .lp, one of these with .gz, or .npz")


def _from_npz(path: Path) -> QuadraticProgram:
    try:
        with np.load(path) as arrays:
            found = dict(arrays)
    except (ValueError, TypeError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path.name} is not an .npz file of numbers: {error}") from None
    for name in ("P", "A"):
        if any(f"{name}_{part}" in found for part in PARTS):
            found[name] = _sparse(path, name, found)
    linear = "c" in found
    if not linear and "q" not in found:
        raise ValueError(f"{path.name} has no array c or q; it has {', '.join(sorted(found))}")
    kind, known = ("LinearProgram", LINEAR) if linear else ("QuadraticProgram", QUADRATIC)
    if linear and "P" in found:
        raise ValueError(f"{path.name} has both c and P; the cost of a quadratic program is q")
    if unknown := sorted(found.keys() - set(known)):
        raise ValueError(
            f"{path.name} has an array {unknown[0]}, which is no field of {kind}; those are "
            f"{', '.join(known)}"
        )
    fields = dict(found)
    for name in ("l", "u", "lb", "ub"):
        if name in fields:
            fields[name] = _bounds(fields[name])
    fields["offset"] = float(fields.get("offset", 0.0))
    return LinearProgram(**fields) if linear else QuadraticProgram(**{"P": None, **fields})


def _sparse(path: Path, name: str, found: dict[str, np.ndarray]) -> Any:
    """The matrix whose parts are among the arrays, which are taken out."""
    missing = [f"{name}_{part}" for part in PARTS if f"{name}_{part}" not in found]
    if missing:
        raise ValueError(f"{path.name} has no array {missing[0]} beside other parts of {name}")
    *parts, shape = (found.pop(f"{name}_{part}") for part in PARTS)
    try:
        matrix = sp.csc_array(tuple(parts), shape=tuple(shape))
        matrix.check_format(full_check=True)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{name} of {path.name} is no matrix by columns: {error}") from None
    return matrix


def _from_highs(path: Path) -> QuadraticProgram:
    import highspy

    highs = highspy.Highs()
    highs.setOptionValue("output_flag", False)
    with tempfile.TemporaryDirectory() as folder:
        # HiGHS goes by the ending, and does not know .qps.
        endings = "".join(
            path.suffixes[-2:] if path.suffix.lower() == ".gz" else path.suffixes[-1:]
        )
        endings = endings.lower()
        copy = shutil.copy(path, Path(folder) / f"problem{endings.replace('.qps', '.mps')}")
        status = highs.readModel(str(copy))
    if status == highspy.HighsStatus.kError:
        raise ValueError(f"{path.name} is not a valid {endings[1:]} file")
    if ".lp" not in endings and not _complete(path):
        raise ValueError(f"{path.name} has no line ENDATA: part of it is missing")
    model = highs.getModel()
    lp, hessian = model.lp_, model.hessian_
    n, m = lp.num_col_, lp.num_row_
    integers = [k for k, kind in enumerate(lp.integrality_) if int(kind) != 0]
    if integers:
        raise ValueError(f"variable {integers[0]} of {path.name} is an integer; relax it first")
    lp.ensureColwise() if hasattr(lp, "ensureColwise") else None
    matrix = lp.a_matrix_
    make = sp.csc_array if matrix.format_ == highspy.MatrixFormat.kColwise else sp.csr_array
    A = make((matrix.value_, matrix.index_, matrix.start_), shape=(m, n))
    sign = -1.0 if lp.sense_ == highspy.ObjSense.kMaximize else 1.0
    sides = (lp.row_lower_, lp.row_upper_, lp.col_lower_, lp.col_upper_)
    l, u, lb, ub = (_bounds(np.array(side, float)) for side in sides)  # noqa: E741
    q = sign * np.array(lp.col_cost_, float)
    if not hessian.dim_:
        return LinearProgram(q, sp.csc_array(A), l, u, lb=lb, ub=ub, offset=sign * lp.offset_)
    P = sp.csc_array((hessian.value_, hessian.index_, hessian.start_), shape=(n, n))
    if hessian.format_ == highspy.HessianFormat.kTriangular:
        P = P + sp.tril(P, -1).T
    return QuadraticProgram(sign * P, q, sp.csc_array(A), l, u, lb, ub, sign * lp.offset_)


def _complete(path: Path) -> bool:
    """Whether an MPS file has its last line; HiGHS can take a part for a whole."""
    unpack: Any = gzip.open if path.suffix.lower() == ".gz" else open
    with unpack(path, "rb") as lines:
        return any(line.startswith(b"ENDATA") for line in lines)


def _bounds(value: np.ndarray) -> np.ndarray:
    value = np.array(value, float)
    far = np.abs(value) >= INFINITE
    value[far] = np.copysign(np.inf, value[far])
    return value


def write_result(result: Any, path: Any) -> None:
    """Write a result: all of it as ``.json``, or its numbers and arrays as ``.npz``."""
    path = Path(path)
    if path.suffix == ".json":
        path.write_text(json.dumps(result.to_dict(), indent=1), "utf-8")
    elif path.suffix == ".npz":
        numbers: dict[str, Any] = {
            k: v for k, v in result.items() if isinstance(v, (int, float, np.ndarray))
        }
        np.savez(path, **numbers)
    else:
        raise ValueError(f"{path.name} must end in {' or '.join(OUTPUTS)}")


def solve_file(path: str, out: str | None, tol: float) -> int:
    """Solve the problem in a file, print what came of it; 0 if it was solved."""
    from numopt.functions.linprog import solve_linear_program
    from numopt.functions.quadprog import solve_quadratic

    if out is not None and Path(out).suffix not in OUTPUTS:
        raise ValueError(f"{out} must end in {' or '.join(OUTPUTS)}")
    problem = read_problem(path)
    if isinstance(problem, LinearProgram):
        result = solve_linear_program(problem, "auto", {}, {"tol": tol})
    else:
        result = solve_quadratic(problem, "auto", {}, {"tol": tol})
    print(f"{result.status.name.lower()}: {result.message}")
    print(f"objective    {result.fun:.10g}")
    for name, entry in result.certificate.items():
        print(f"{name:12} {float(entry):.2e}")
    print(f"{result.nit} iterations, {result.time:.3g} s, {result.solver}")
    if out is not None:
        write_result(result, out)
    return 0 if result.success else 1
