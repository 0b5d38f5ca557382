"""A function with settings is compiled once, however often it is written down."""

from functools import partial

import jax
import numpy as np
import pytest

from dynamics.flow import kernel_descent, kernel_flow, matrix_kernel_flow, objective_flow
from dynamics.modes import contrastive_modes
from dynamics.objectives import barlow_twins, generalised_spectral
from dynamics.objectives.correlation import correlation_loss
from dynamics.support.compiled import comparable, compile_once
from dynamics.training import SmallNetwork, gradient_descent

COMPILED = []
jax.monitoring.register_event_duration_secs_listener(
    lambda event, _, **__: COMPILED.append(event) if event.endswith("backend_compile_duration") else None
)


def scaled(x, factor, *more):
    return factor * x


def test_partials_are_equal_if_they_do_the_same():
    one = comparable(partial(scaled, factor=2.0))
    assert one == comparable(partial(scaled, factor=2.0)) and hash(one) == hash(comparable(partial(scaled, factor=2.0)))
    others = [{"factor": 3.0}, {"factor": 2}, {"factor": True}, {"factor": np.float32(2)}]
    assert all(one != comparable(partial(scaled, **settings)) for settings in others)
    assert one != comparable(partial(max, factor=2.0)) and one(4) == 8.0
    assert comparable(partial(scaled, factor=(1, 2.0))) != comparable(partial(scaled, factor=(1.0, 2)))


def test_functions_that_are_settings_are_compared_too():
    first, second = (comparable(partial(map, partial(scaled, factor=2.0))) for _ in range(2))
    assert first == second and list(first([1, 2])) == [2.0, 4.0]


def test_what_cannot_be_compared_equals_itself_alone():
    bound = partial(scaled, factor=np.ones(2))
    assert comparable(bound) is bound and comparable(scaled) is scaled


def test_something_is_built_once_for_equal_functions():
    built = []

    @compile_once(maxsize=2)
    def build(function, count):
        built.append(count)
        return lambda x: function(x) + count

    assert [build(partial(scaled, factor=2.0), count)(1) for count in (1, 1, 5)] == [3.0, 3.0, 7.0]
    assert built == [1, 5] and build.cache_info().hits == 1


VIEWS = np.random.default_rng(0).normal(size=(12, 20))
START = 1e-3 * np.random.default_rng(1).normal(size=(12, 2))
TIMES = np.linspace(0, 2, 4)
NETWORK = SmallNetwork(lambda W, x: x @ W, np.ones((20, 2), np.float32))

CASES = {
    "flow of modes": lambda: kernel_flow(
        contrastive_modes(VIEWS @ VIEWS.T / 20), START, TIMES, loss=partial(correlation_loss, off_diagonal=0.3)
    ),
    "descent of modes": lambda: kernel_descent(
        contrastive_modes(VIEWS @ VIEWS.T / 20),
        START,
        0.01,
        np.arange(4),
        loss=partial(correlation_loss, off_diagonal=0.3),
    ),
    "flow of a matrix kernel": lambda: matrix_kernel_flow(
        np.einsum("xy,kl->xykl", VIEWS @ VIEWS.T / 20, np.eye(2)),
        START,
        TIMES,
        objective=partial(barlow_twins, off_diagonal=0.3),
    ),
    "flow of embeddings": lambda: objective_flow(
        VIEWS @ VIEWS.T / 20, START, TIMES, partial(generalised_spectral, weight=0.7)
    ),
    "training": lambda: gradient_descent(
        NETWORK, VIEWS, learning_rate=1e-3, steps=20, objective=partial(generalised_spectral, weight=0.7)
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_settings_that_were_compiled_are_not_compiled_again(name):
    CASES[name]()
    before = len(COMPILED)
    CASES[name]()
    assert len(COMPILED) == before > 0
