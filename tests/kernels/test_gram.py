import sys
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest

from dynamics.errors import CapacityError, ConfigError, DataError, KernelError
from dynamics.kernels import Kernel, estimate_cost, estimate_memory, gram, infinite_kernel, rbf, relu_network
from dynamics.kernels.kernel import blocks, mirror
from dynamics.networks import ConvNet


@pytest.fixture
def x(rng):
    return rng.normal(size=(11, 4))


@pytest.mark.parametrize("kernel", [rbf(1.0), relu_network(2)], ids=lambda k: k.name)
@pytest.mark.parametrize("tile", [1, 3, 4, 7, 10, 11, 50])
def test_tiling_does_not_change_the_values(kernel, x, tile):
    y = x[:8] + 1
    np.testing.assert_allclose(gram(kernel, x, tile=tile), gram(kernel, x), rtol=1e-12)
    np.testing.assert_allclose(gram(kernel, x, y, tile=tile), gram(kernel, x, y), rtol=1e-12)


def test_symmetric_gram_is_exactly_symmetric_and_float64(x):
    values = gram(relu_network(3), x.astype(np.float32), tile=4)
    assert values.dtype == np.float64 and isinstance(values, np.ndarray)
    np.testing.assert_array_equal(values, values.T)
    np.testing.assert_allclose(values, gram(relu_network(3), x.astype(np.float32), x.astype(np.float32)), rtol=1e-12)


def test_symmetric_work_is_done_once(x):
    calls = []

    def dot(x1, x2):
        calls.append((len(x1), len(x2)))
        return x1 @ x2.T

    seen = []
    values = gram(dot, x, tile=4, progress=lambda done, total: seen.append((done, total)))
    np.testing.assert_allclose(values, x @ x.T, rtol=1e-13, atol=1e-13)
    # three blocks of four rows: six of the nine tiles, all of one shape
    assert calls == [(4, 4)] * 6
    assert seen == [(done, 6) for done in range(1, 7)]


def test_work_on_one_side_is_shared_along_a_row(x):
    bound = []

    def bind(x1):
        bound.append(len(x1))
        return lambda x2: x1 @ x2.T

    kernel = Kernel("bound", lambda x1, x2: bind(x1)(x2), bind=bind)
    np.testing.assert_allclose(gram(kernel, x, x[:9], tile=4), x @ x[:9].T, rtol=1e-13, atol=1e-13)
    assert bound == [4, 4, 4]


def test_computes_in_double_precision_and_leaves_the_setting_alone(x):
    seen = []

    def dot(x1, x2):
        seen.append(jnp.asarray(x1).dtype)
        return jnp.asarray(x1) @ jnp.asarray(x2).T

    gram(dot, x.astype(np.float32))
    assert seen == [jnp.float64]
    assert jnp.ones(1).dtype == jnp.float32


def test_single_precision_on_request(x):
    seen = []

    def dot(x1, x2):
        seen.append(jnp.asarray(x1).dtype)
        return jnp.asarray(x1) @ jnp.asarray(x2).T

    values = gram(dot, x, tile=4, dtype="float32")
    assert values.dtype == np.float32 and set(seen) == {jnp.dtype("float32")}
    np.testing.assert_array_equal(values, values.T)
    np.testing.assert_allclose(values, x @ x.T, rtol=1e-4, atol=1e-5)
    assert np.abs(values - x @ x.T).max() > 1e-9


def test_what_does_not_fit_is_refused_before_it_is_evaluated(x):
    def never(x1, x2):
        raise AssertionError

    needed = estimate_memory(never, x)
    assert needed == 8 * (11 * 11 + 8 * 11 * 11)
    assert estimate_memory(never, x, x[:3], tile=2, dtype="float32") == 4 * (33 + 56 + 8 * 4)
    with pytest.raises(CapacityError) as caught:
        gram(never, x, memory=needed - 1)
    assert str(caught.value) == (
        "kernel 'never': a Gram matrix of 11 × 11 views in float64 takes 8.71e-06 GB, and 8.71e-06 GB may be used; "
        'use fewer views, or `dtype="float32"`.'
    )
    # a petabyte, whatever this machine has left
    with pytest.raises(CapacityError, match="use fewer views"):
        gram(never, np.broadcast_to(np.float64(1.0), (10**7, 2)))
    gram(rbf(1.0), x, memory=needed)


def test_mirror_copies_the_upper_triangle(rng):
    full = rng.normal(size=(7, 7))
    expected = np.triu(full) + np.triu(full, 1).T
    full[np.tril_indices(7, -1)] = np.nan
    for side in (1, 2, 7, 100):
        np.testing.assert_array_equal(mirror(full.copy(), side), expected)


@pytest.mark.parametrize(("count", "side", "multiple"), [(11, 4, 1), (11, 4, 4), (11, 1, 8), (16, 5, 8), (9, 50, 4)])
def test_blocks_cover_all_rows_in_one_length(count, side, multiple):
    cut = list(blocks(count, side, multiple))
    assert {row for block in cut for row in range(count)[block]} == set(range(count))
    (length,) = {block.stop - block.start for block in cut}
    assert length % multiple == 0 and (multiple > 1 or length <= side)


def test_progress_bar_names_the_kernel_in_a_terminal_and_is_silent_in_a_log(x, capsys, monkeypatch):
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    gram(rbf(1.0), x, tile=4, progress=True)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setenv("FORCE_COLOR", "1")  # what makes rich take stderr for a terminal
    gram(rbf(1.0), x, tile=4, progress=True)
    shown = capsys.readouterr()
    assert "kernel rbf(1)" in shown.err and shown.out == ""


def _dot(x1, x2):
    return x1 @ x2.T


def _nan_at_first(x1, x2):
    return np.where(x1[:, :1] == 3.0, np.nan, _dot(x1, x2))


def _scalar(x1, x2):
    return np.zeros(())


def _one_sided(x1, x2):
    return np.outer(x1[:, 0], np.ones(len(x2)))


STEPS = np.arange(6.0)[:, None] * np.ones((1, 2))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: gram(_nan_at_first, STEPS, tile=2),
            KernelError,
            "kernel '_nan_at_first': 2 values are not finite (first: views 3 and 2); "
            "check the views and the kernel's settings.",
        ),
        (lambda: gram(_scalar, STEPS), KernelError, "kernel '_scalar': returned shape () for 6 and 6 views."),
        (
            lambda: gram(_one_sided, STEPS),
            KernelError,
            "kernel '_one_sided': k(x, y) = 0 but k(y, x) = 5 for views 0 and 5; a kernel is symmetric.",
        ),
        (
            lambda: gram(_dot, STEPS, STEPS[:, :1]),
            DataError,
            "kernel '_dot': got views of shapes (6, 2) and (6, 1); "
            "give two stacks of the same kind of view, none of them empty.",
        ),
        (
            lambda: gram(_dot, STEPS[:0]),
            DataError,
            "kernel '_dot': got views of shapes (0, 2) and (0, 2); "
            "give two stacks of the same kind of view, none of them empty.",
        ),
        (
            lambda: gram(_dot, STEPS, tile=0),
            ConfigError,
            "kernel '_dot': tile is 0; give an integer of at least 1.",
        ),
        (
            lambda: gram(_dot, STEPS, dtype="float16"),
            ConfigError,
            "kernel '_dot': dtype is 'float16'; choose float64 or float32.",
        ),
        (
            lambda: gram(infinite_kernel(ConvNet()), STEPS),
            ConfigError,
            "ConvNet: needs views (height, width, channels), got shape (2,); give images, or take an MLP "
            '(`network="mlp"`).',
        ),
    ],
)
def test_what_is_wrong_is_named(call, error, message):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == message


def test_cost_estimate_scales_with_the_pairs(monkeypatch):
    now = 0.0

    # a kernel that takes 1 ms a pair of views, on a clock of its own: a busy machine does not change it
    def slow(x1, x2):
        nonlocal now
        now += 1e-3 * len(x1) * len(x2)
        return np.ones((len(x1), len(x2)))

    clock = SimpleNamespace(perf_counter=lambda: now)
    monkeypatch.setattr(sys.modules["dynamics.kernels.gram"], "time", clock)

    kernel = Kernel("slow", slow, tile_side=lambda shape: 10)
    x = np.ones((100, 2))
    assert estimate_cost(kernel, x) == pytest.approx(1e-3 * 55 * 100)
    assert estimate_cost(kernel, x, x[:30]) == pytest.approx(1e-3 * 3000)
