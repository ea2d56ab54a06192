"""Classes as users write them: what may stand in the body of a block, and what is refused."""

import numpy as np
import pytest

import numopt
from numopt.losses import LeastSquares
from numopt.penalties import L1
from numopt.problems import Composite


class Lowering:
    """A plain class whose methods blocks may inherit."""

    def prox_1d(self, x, step, j):
        return x * 0 + self.alpha

    def total(self, size):
        return self.alpha * size


@numopt.block(convex=True)
class Rich(Lowering):
    FACTOR = 2.0
    TABLE = np.array([1.0, 10.0])

    alpha: float
    times: int = 3
    flipped: bool = False

    @property
    def double(self):
        return 2 * self.alpha

    @staticmethod
    def cut(x, at, scale=1.0):
        return max(abs(x) - at, 0.0) * scale

    def value_1d(self, x, j):
        size = self.cut(x, 1.0, scale=self.FACTOR) * self.TABLE[j] * self.times
        return self.total(size + self.double) if not self.flipped else 0.0


def test_constants_properties_and_static_methods_are_read_as_in_python():
    # 2 * (2 * (3 - 1) * 1 * 3 + 4) + 2 * (2 * (5 - 1) * 10 * 3 + 4)
    assert Rich(2.0).value([3.0, 5.0]) == 2 * 16 + 2 * 244
    assert Rich(2.0, flipped=True).value([3.0, 5.0]) == 0
    assert Rich(2.0, times=1).value(np.float32([3.0, -5.0])) == 2 * 8 + 2 * 84
    assert Rich(2.0).prox([7.0]).tolist() == [2.0]  # of the plain class


def test_a_helper_of_one_name_may_take_other_arguments_in_another_class():
    @numopt.block
    class Other:
        alpha: float

        def value_1d(self, x, j):
            return self.total(x, 2.0, k=self.alpha)

        def total(self, x, factor, k=0.0):
            return x * factor + k

        def cut(self, x):
            return x

    assert Other(1.0).value([3.0]) == 7.0
    assert Rich(2.0, times=1).value([3.0]) == 16.0


def test_a_subclass_of_another_function_inherits_no_certificate():
    @numopt.block(convex=True)
    class Twice(L1):
        def value_1d(self, x, j):
            return 2 * self.alpha * abs(x)

    for method in ("prox_1d", "subdiff_distance_1d", "conjugate_1d"):
        assert L1.offers(method)
        assert not Twice.offers(method)
    with pytest.raises(TypeError, match=r"needs .*prox"):
        numopt.solve(Composite(LeastSquares([1.0]), [[1.0]], Twice(0.1)))

    @numopt.block(convex=True)
    class SameButFaster(L1):
        def prox_1d(self, x, step, j):
            return np.sign(x) * max(abs(x) - step * self.alpha, 0.0)

    assert SameButFaster.offers("subdiff_distance_1d")


def test_a_subclass_has_to_be_decorated_to_count():
    class Silent(L1):
        def value_1d(self, x, j):
            return 0.0

    with pytest.raises(TypeError, match=r"Silent defines value_1d.*@numopt\.block"):
        Silent(1.0).value([1.0])

    class Documented(L1):
        """Nothing new but this."""

        def alpha_max(self, grad0):
            return 1.0

    assert Documented(1.0).value([1.0]) == 1.0


def plain(x):
    return x


@pytest.mark.parametrize("solve", [False, True])
def test_what_does_not_compile_is_said_in_a_sentence(solve):
    @numopt.block
    class Plain:
        alpha: float

        def value_1d(self, x, j):
            return plain(x)

        def prox_1d(self, x, step, j):
            return self.missing

    penalty = Plain(1.0)
    with pytest.raises(TypeError, match=r"^Plain cannot be compiled") as caught:
        if solve:
            numopt.solve(Composite(LeastSquares([1.0]), [[1.0]], penalty), "prox-grad")
        else:
            penalty.value([1.0])
    message = str(caught.value)
    assert len(message) < 300
    assert "\n" not in message
    for part in ("'plain'", "test_user_blocks.py, line", "numba.njit"):
        assert part in message


@pytest.mark.parametrize("name", ["size", "value", "kept"])
def test_fields_do_not_hide_what_all_blocks_have(name):
    with pytest.raises(TypeError, match=f"Mine: every penalty has its own '{name}'"):
        numopt.block(
            type(
                "Mine",
                (),
                {"__annotations__": {name: float}, "prox_1d": lambda self, x, step, j: x},
            )
        )


def test_static_methods_are_no_compiled_methods():
    with pytest.raises(TypeError, match="prox_1d is a staticmethod"):

        @numopt.block
        class Static:
            @staticmethod
            def prox_1d(x, step, j):
                return x


def test_arrays_need_not_hold_an_entry_per_coordinate():
    @numopt.block(convex=True)
    class Tabled:
        size = None
        table: np.ndarray

        def value_1d(self, x, j):
            return self.table[0] * abs(x)

        def prox_1d(self, x, step, j):
            return np.sign(x) * max(abs(x) - step * self.table[0], 0.0)

    assert Tabled([2.0, 0.0, 0.0]).value([1.0]) == 2.0


def test_losses_of_users_are_checked_like_the_library_s():
    @numopt.block(convex=True)
    class Squares:
        y: np.ndarray
        sample_weight: np.ndarray = None

        def value_1d(self, z, i):
            return (z - self.y[i]) ** 2 / 2

        def gradient_1d(self, z, i):
            return z - self.y[i]

    assert Squares([1, 3], sample_weight=[1, 3]).value([0, 1]) == (1 + 3 * 4) / 2 / 4
    for arguments, part in (
        ({"y": [1.0, np.inf]}, "y has inf at index 1"),
        ({"y": 1.0}, "y must be 1-D"),
        ({"y": [1.0, 2.0], "sample_weight": [1.0]}, "sample_weight has 1 entries, expected 2"),
        ({"y": [1.0, 2.0], "sample_weight": [1.0, -1.0]}, r"sample_weight\[1\] = -1 is negative"),
    ):
        with pytest.raises(ValueError, match=part):
            Squares(**arguments)

    with pytest.raises(TypeError, match="Aimless: every loss needs a field 'y'"):

        @numopt.block
        class Aimless:
            target: np.ndarray

            def gradient_1d(self, z, i):
                return z - self.target[i]


def test_weights_that_the_library_applies_are_checked():
    @numopt.block(convex=True)
    class Weighing:
        weights: np.ndarray = None

        def prox_1d(self, x, step, j):
            return x / (1 + step)

    assert Weighing([0.0, 1.0]).prox([1.0, 1.0]).tolist() == [1.0, 0.5]
    with pytest.raises(ValueError, match=r"weights\[1\] = -2 is negative"):
        Weighing([1.0, -2.0])
