"""The digest of a kernel changes with all it depends on, and with nothing else."""

import importlib
import sys
import textwrap

import numba
import numpy as np
import pytest
from numba import types

from numopt.core import block
from numopt.core.digest import Uncacheable, digest

PRELUDE = "import enum, math\nimport numba\nimport numpy as np\nfrom numopt.core.jit import kernel, inner\n"


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Write modules, in place of earlier ones of their names, and import one of them."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(block, "_names", {})  # the name of a Spec counts definitions in a process
    written = set()

    def write_and_import(files, name="subject"):
        for path, source in files.items():
            target = tmp_path / path
            target.parent.mkdir(exist_ok=True)
            target.write_text(PRELUDE + textwrap.dedent(source))
            written.add(path.removesuffix(".py").removesuffix("/__init__").replace("/", "."))
        forget()
        block._names.clear()
        importlib.invalidate_caches()
        return importlib.import_module(name)

    def forget():
        for module in written:
            sys.modules.pop(module, None)

    yield write_and_import
    forget()


def key(module, *arguments):
    """Digest of the kernel `k` of a module; None if it cannot be cached."""
    try:
        return digest(module.k, arguments or (types.float64,))[0]
    except Uncacheable:
        return None


# Each source has a V that the second version changes from 1 to 2.
DEPENDENCES = {
    "constant in the body": "@kernel\ndef k(x): return x * V.0",
    "global": "F = V.0\n@kernel\ndef k(x): return x * F",
    "default argument": "@kernel\ndef k(x, f=V.0): return x * f",
    "keyword default": "@kernel\ndef k(x, *, f=V.0): return x * f",
    "helper": "@numba.njit\ndef h(x): return x * V.0\n@kernel\ndef k(x): return h(x)",
    "constant of a helper": (
        "F = V.0\n@numba.njit\ndef h(x): return x * F\n@kernel\ndef k(x): return h(x)"
    ),
    "options of a helper": (
        "@numba.njit(fastmath=(V == 1))\ndef h(x): return x + x\n@kernel\ndef k(x): return h(x)"
    ),
    "types of a helper's locals": (
        "@numba.njit(locals={'y': {1: numba.float32, 2: numba.float64}[V]})\n"
        "def h(x):\n    y = x\n    return y\n@kernel\ndef k(x): return h(x)"
    ),
    "recursion": (
        "@kernel\ndef k(x):\n    if x < 1:\n        return x\n    return k(x - V.0) + 1.0\n"
    ),
    "mutual recursion": (
        "@numba.njit\ndef h(x): return k(x - V.0)\n"
        "@kernel\ndef k(x):\n    if x < 1:\n        return x\n    return h(x)"
    ),
    "which helper has which part": (
        "@inner\ndef g(x): return x\n@inner\ndef h(x): return 2 * x\n"
        "a, b = (g, h) if V == 1 else (h, g)\n"
        "@inner\ndef first(x): return g(x) + h(x)\n"
        "@kernel\ndef k(x): return first(x) + a(x) / b(x)"
    ),
    "closure": (
        "def make(f):\n    @kernel\n    def k(x): return x * f\n    return k\nk = make(V.0)"
    ),
    "helper in a closure": (
        "def make(f):\n    h = inner(lambda x: x * f)\n"
        "    @kernel\n    def k(x): return h(x)\n    return k\nk = make(V.0)"
    ),
    "array": "F = np.array([0.0, V.0])\n@kernel\ndef k(x): return x * F[1]",
    "layout of an array": (
        "F = np.asarray(np.eye(3), order='C' if V == 1 else 'F')\n@kernel\ndef k(x): return x * F[1, 1]"
    ),
    "tuple": "F = (0.0, (V.0, 1.0))\n@kernel\ndef k(x): return x * F[1][0]",
    "set literal": "@kernel\ndef k(x): return x in {3.0, V.0}",
    "enumeration": (
        "class F(enum.IntEnum):\n    a = V\n@kernel\ndef k(x): return x * F.a"
    ),
    "member of an enumeration": (
        "class F(enum.IntEnum):\n    a = V\nf = F.a\n@kernel\ndef k(x): return x * f"
    ),
    "defaults of a namedtuple": (
        "from typing import NamedTuple\nclass P(NamedTuple):\n    a: float = V.0\n"
        "@kernel\ndef k(x): return x * P().a"
    ),
    "dtype": "F = np.dtype('float64' if V == 1 else 'float32')\n@kernel\ndef k(x): return np.zeros(2, F)",
    "Numba type": "F = numba.float64 if V == 1 else numba.float32\n@kernel\ndef k(x): return F(x)",
    "nested function": (
        "F = V.0\n@kernel\ndef k(x):\n    def h(y): return y * F\n    return h(x)"
    ),
    "function of NumPy": (
        "f = np.sin if V == 1 else np.cos\n@kernel\ndef k(x): return f(x)"
    ),
    "user's overload": (
        "def stub(x): ...\n@numba.extending.overload(stub)\ndef _stub(x): return lambda x: x * V.0\n"
        "@kernel\ndef k(x): return stub(x)"
    ),
    "constant read by an overload": (
        "F = V.0\ndef stub(x): ...\n"
        "@numba.extending.overload(stub)\ndef _stub(x):\n    f = F\n    return lambda x: x * f\n"
        "@kernel\ndef k(x): return stub(x)"
    ),
    "register_jitable": (
        "@numba.extending.register_jitable\ndef h(x): return x * V.0\n@kernel\ndef k(x): return h(x)"
    ),
    "user's method": (
        "@numba.extending.overload_method(numba.types.Float, 'times_v')\n"
        "def _times_v(x): return lambda x: x * V.0\n"
        "@kernel\ndef k(x): return x.times_v()"
    ),
    "user's attribute": (
        "@numba.extending.overload_attribute(numba.types.Float, 'by_v')\n"
        "def _by_v(x): return lambda x: x * V.0\n"
        "@kernel\ndef k(x): return x.by_v"
    ),
    "overload of a NumPy function": (
        "@numba.extending.overload(np.trim_zeros)\ndef _trim(filt): return lambda filt: filt * V.0\n"
        "@kernel\ndef k(x): return np.trim_zeros(x)"
    ),
    "intrinsic": (
        "@numba.extending.intrinsic\ndef h(ctx, x):\n"
        "    def times_v(c, b, s, a): return b.fmul(a[0], a[0].type(V))\n"
        "    return x(x), times_v\n"
        "@kernel\ndef k(x): return h(x)"
    ),
    "disguised as NumPy": (
        "import functools\n@inner\n@functools.wraps(np.mean)\ndef h(x): return x * V.0\n"
        "@kernel\ndef k(x): return h(x)"
    ),
}  # fmt: skip
# What this process teaches Numba about its own types and functions, it cannot make it forget.
LASTING = ("user's method", "user's attribute", "overload of a NumPy function")


@pytest.mark.parametrize("case", DEPENDENCES)
def test_digest_changes_with_what_a_kernel_depends_on(load, case):
    first, second, again = (
        key(load({"subject.py": DEPENDENCES[case].replace("V", version)})) for version in "121"
    )
    assert first is not None
    assert first != second
    assert first == again or case in LASTING


MODULES = {
    "attribute of a module": ("import helper", "helper.F", {"helper.py": "F = V.0"}),
    "function of a module": (
        "import helper",
        "helper.h(x)",
        {"helper.py": "@numba.njit\ndef h(x): return x * V.0"},
    ),
    "constant of a module's function": (
        "from helper import h",
        "h(x)",
        {"helper.py": "F = V.0\n@numba.njit\ndef h(x): return x * F"},
    ),
    "attribute of a package": (
        "import pkg.sub",
        "pkg.sub.F",
        {"pkg/__init__.py": "", "pkg/sub.py": "F = V.0"},
    ),
    "two packages deep": (
        "import pkg.sub",
        "pkg.sub.h(x)",
        {
            "pkg/__init__.py": "",
            "pkg/low.py": "G = 2\nF = V.0",
            "pkg/sub.py": "from pkg import low\n@numba.njit\ndef h(x): return x * low.F",
        },
    ),
    "module that names itself": ("import helper", "helper.F", {"helper.py": "import helper\nF = V.0"}),
}  # fmt: skip


@pytest.mark.parametrize("place", ["global", "nested", "closure"])
@pytest.mark.parametrize("case", MODULES)
def test_digest_changes_with_what_imported_modules_hold(load, case, place):
    imports, expression, files = MODULES[case]
    kernel = {
        "global": f"{imports}\n@kernel\ndef k(x): return {expression}",
        "nested": f"{imports}\n@kernel\ndef k(x):\n    g = lambda x: {expression}\n    return g(x)",
        "closure": (
            f"def make():\n    {imports}\n"
            f"    @kernel\n    def k(x):\n        g = lambda x: {expression}\n        return g(x)\n"
            "    return k\nk = make()"
        ),
    }[place]

    def version(v):
        return {"subject.py": kernel} | {
            path: source.replace("V", v) for path, source in files.items()
        }

    first, second, again = (key(load(version(v))) for v in "121")
    assert first is not None
    assert first != second
    assert first == again


BLOCK = """
import numopt
from numopt.core.stubs import prox_1d
F = {constant}
@numba.njit
def h(x): return x * {helper}
@numopt.block
class P:
    alpha: float
    def value_1d(self, x, j): return {value}
    def prox_1d(self, x, step, j): return self.shrunk(x) * F * h(x)
    def shrunk(self, x): return x / {method}
    def unused(self, x): return x / {unused}
@numopt.block
class Twice:
    base: P
    def prox_1d(self, x, step, j): return self.base.shrunk(prox_1d(self.base, x, step, j))
@kernel
def k(block, x): return prox_1d(block, x, 1.0, 0)
"""
PARTS = {"constant": 1.0, "helper": 1.0, "value": 1.0, "method": 1.0, "unused": 1.0}


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("part", PARTS)
def test_digest_changes_with_the_methods_of_blocks_a_kernel_calls(load, part, nested):
    def version(number):
        module = load({"subject.py": BLOCK.format(**{**PARTS, part: number})})
        block = module.P(1.0)
        block = module.Twice(block) if nested else block
        return key(module, numba.typeof(block.spec()), types.float64)

    assert version(1.0) == version(1.0)
    called = part not in ("value", "unused")
    # The name of a Spec follows its compiled methods, called or not.
    assert (version(1.0) != version(2.0)) == (called or part == "value")


def test_digest_knows_blocks_that_stand_in_globals(load):
    source = BLOCK.format(**{**PARTS, "method": "V"}) + (
        "G = P(1.0).spec()\n@kernel\ndef k(x): return prox_1d(G, x, 1.0, 0)\n"
    )
    first, second, again = (key(load({"subject.py": source.replace("V", v)})) for v in "121")
    assert first is not None
    assert first != second
    assert first == again


@pytest.mark.parametrize(
    "source",
    [
        "F = 2.0\n\n\n# a comment\n@kernel\ndef k(x):\n    # another\n    return h(x) * F",
        "F = 2.0\nG = 3.0\n@kernel\ndef k(x): return h(x) * F\n@kernel\ndef other(x): return x * G",
        "F = 2.0\n@kernel\ndef k(x):\n    'A sentence.'\n    return h(x) * F",
    ],
    ids=["comments", "other functions", "documentation"],
)
def test_digest_ignores_what_kernels_do_not_see(load, source):
    helper = "@inner\ndef h(x):\n    {}\n    return x + 1\n"
    plain = "F = 2.0\n@kernel\ndef k(x): return h(x) * F"
    first = key(load({"subject.py": helper.format("'One.'") + plain}))
    second = key(load({"subject.py": helper.format("'Two.'") + source}))
    assert first is not None
    assert first == second


UNSEEN = {
    "dictionary": "F = {'a': 1.0}\n@kernel\ndef k(x): return x * F['a']",
    "list": "F = [1.0]\n@kernel\ndef k(x): return x * F[0]",
    "set": "F = {1.0}\n@kernel\ndef k(x): return x in F",
    "array of objects": "F = np.array([object()])\n@kernel\ndef k(x): return F",
    "typed list": "F = numba.typed.List([1.0])\n@kernel\ndef k(x): return x * F[0]",
    "vectorised function": (
        "@numba.vectorize\ndef h(x): return 2 * x\n@kernel\ndef k(x): return h(x)"
    ),
    "callback": (
        "@numba.cfunc('float64(float64)')\ndef h(x): return 2 * x\n@kernel\ndef k(x): return h(x)"
    ),
    "list in a closure": (
        "def make(f):\n    @kernel\n    def k(x): return x * f[0]\n    return k\nk = make([1.0])"
    ),
    "number with its own text": (
        "class N(float):\n    def __repr__(self): return 'N'\nF = N(1.0)\n@kernel\ndef k(x): return x * F"
    ),
    "jitclass": (
        "from numba.experimental import jitclass\n@jitclass([('a', numba.float64)])\nclass C:\n"
        "    def __init__(self): self.a = 1.0\n@kernel\ndef k(x): return x * C().a"
    ),
    "class": "class C:\n    a = 1.0\n@kernel\ndef k(x): return x * C.a",
}


@pytest.mark.parametrize("case", UNSEEN)
def test_what_cannot_be_digested_is_not_cached(load, case):
    assert key(load({"subject.py": UNSEEN[case]})) is None


def test_an_attribute_that_shares_a_global_s_name_is_no_obstacle(load):
    source = "size = {'of': 'anything'}\n@kernel\ndef k(x): return x.size"
    assert key(load({"subject.py": source}), types.float64[::1]) is not None


def test_functions_of_no_module_are_not_cached():
    namespace = {}
    exec("from numopt.core.jit import kernel\n@kernel\ndef k(x): return x", namespace)
    with pytest.raises(Uncacheable, match="of no module"):
        digest(namespace["k"], (types.float64,))


@pytest.mark.parametrize("where", ["subject", "helper"])
def test_constants_bound_anew_are_not_cached(load, where):
    """Helpers compiled before keep the old constant and would be linked under the new digest."""
    source = "import helper\nF = 1.0\n@inner\ndef h(x): return x * F * helper.F\n"
    module = load({"helper.py": "F = 1.0", "subject.py": source + "@kernel\ndef k(x): return h(x)"})
    assert key(module) is not None
    sys.modules[where].F = 2.0
    assert key(module) is None


def test_arguments_that_are_functions_are_not_cached(load):
    module = load({"subject.py": "@kernel\ndef k(f, x): return f(x)"})
    argument = numba.typeof(numba.njit(lambda x: x))
    assert key(module, argument, types.float64) is None


def test_argument_types_and_their_layout_count(load):
    module = load({"subject.py": "@kernel\ndef k(x): return x"})
    kinds = [
        *(types.float64, types.float32, types.int64, types.boolean, types.none),
        *(types.float64[:], types.float64[::1], types.float64[:, ::1], types.float64[::1, :]),
        *(types.Array(types.float64, 1, "C", readonly=True), types.Optional(types.float64)),
        *(types.UniTuple(types.float64, 2), types.Tuple((types.float64, types.int64))),
    ]
    keys = [key(module, kind) for kind in kinds]
    assert None not in keys
    assert len(set(keys)) == len(kinds)


def test_classes_of_one_name_have_their_own_digest(load):
    source = "from collections import namedtuple\nT = namedtuple('T', 'V')\n@kernel\ndef k(t): return t[0]"
    modules = [load({"subject.py": source.replace("V", field)}) for field in "ab"]
    keys = {key(module, numba.typeof(module.T(1.0))) for module in modules}
    assert len(keys) == 2


def test_settings_of_numba_count(load, monkeypatch):
    module = load({"subject.py": "@kernel\ndef k(x): return x"})
    plain = key(module)
    monkeypatch.setattr(numba.config, "BOUNDSCHECK", 1)
    assert key(module) != plain
    monkeypatch.undo()
    monkeypatch.setattr(np, "__version__", "0.0")
    assert key(module) != plain
