import json

import numpy as np
import pytest

from dynamics.cli.tables import steps_line
from dynamics.modes import contrastive_modes
from dynamics.trajectories.comparison import (
    Comparison,
    compare,
    distinct_steps,
    eigenvalue_error,
    half_times,
    step_times,
    still_since,
)
from dynamics.trajectories.trajectory import Trajectory
from dynamics.trajectories.verdict import verdict_of


def logistic(times, centres, rate=3.0, rung="network", **fields):
    u = 1 / (1 + np.exp(-rate * (times[:, None] - np.asarray(centres))))
    return Trajectory(times, u, ((1 - u) ** 2).sum(1), rung=rung, **fields)


def test_step_times_of_logistic_curves_are_exact_however_coarse_the_record():
    trajectory = logistic(np.linspace(0, 10, 14), [2.2, 5.1, 7.77])
    np.testing.assert_allclose(step_times(trajectory), [2.2, 5.1, 7.77], rtol=1e-12)


def test_a_step_that_is_not_reached_is_nan_and_one_before_the_start_is_the_first_time():
    times = np.linspace(0, 4, 30)
    trajectory = logistic(times, [-1.0, 2.0, 50.0])
    np.testing.assert_allclose(step_times(trajectory), [0.0, 2.0, np.nan], rtol=1e-12)


def test_other_levels():
    trajectory = logistic(np.linspace(0, 10, 50), [4.0], rate=2.0)
    np.testing.assert_allclose(step_times(trajectory, level=0.9), [4.0 + np.log(9) / 2.0], rtol=1e-12)


def test_eigenvalue_error_is_the_mean_distance_at_the_measured_times():
    measured = logistic(np.linspace(0, 10, 40), [2.0, 6.0])
    shifted = Trajectory(measured.times, measured.eigenvalues + np.array([0.1, -0.3]), measured.loss)
    np.testing.assert_allclose(eigenvalue_error(measured, shifted), 0.2, rtol=1e-12)


@pytest.fixture
def modes(rng):
    views = rng.normal(size=(40, 60))
    return contrastive_modes(views @ views.T)


def test_compare_gives_ratios_overlaps_at_the_plateaus_and_plain_json(modes, rng, tmp_path):
    times = np.linspace(0, 12, 60)
    order = np.sqrt(np.array([1 / (1 + np.exp(-3 * (times - c))) for c in (2.0, 5.0, 90.0)]).T)
    embeddings = np.einsum("vr,tr->tvr", np.linalg.qr(modes.on_views[:, :3])[0], order)
    measured = logistic(times, [2.0, 5.0, 90.0], embeddings=embeddings, embedding_times=times)
    comparison = compare(measured, {"ode": logistic(times, [3.0, 4.0, 6.0], rung="ode")}, modes)
    np.testing.assert_allclose(comparison.step_time_ratio["ode"], [1.5, 0.8, np.nan], rtol=1e-12)
    assert comparison.median_error("ode") == pytest.approx(0.5)  # of 0.5, 0.2 and a step that never came
    assert comparison.missing_steps("ode") == 1
    assert [plateau.learned for plateau in comparison.subspace_overlap] == [1, 2]
    assert comparison.subspace_overlap[0].time == pytest.approx(3.5, abs=0.2)
    assert comparison.subspace_overlap[1].overlap == pytest.approx(1.0, abs=1e-10)
    assert comparison.subspace_overlap[1].chance == pytest.approx(2 / 40)

    comparison.save(tmp_path / "comparison.json")
    content = json.loads((tmp_path / "comparison.json").read_text())
    assert content["step_times"]["network"][2] is None
    assert content["step_time_ratio"]["ode"] == pytest.approx([1.5, 0.8, None])
    assert content["median_step_time_error"] == {"ode": pytest.approx(0.5)} and content["missing_steps"] == {"ode": 1}
    assert {"eigenvalues_gamma", "eigenvalue_error", "subspace_overlap"} <= set(content)


def compared(measured, *forecasts, until=10.0):
    """A comparison of these step times; NaN where a step never comes."""
    measured = np.array(measured, float)
    named = {f"forecast {i}": np.array(tau, float) for i, tau in enumerate(forecasts)}
    ratios = {name: tau / measured for name, tau in named.items()}
    return Comparison(np.ones(len(measured)), {**named, "network": measured}, ratios, {}, np.array([0.0, until]), [])


NEVER = np.nan


@pytest.mark.parametrize(
    ("measured", "predicted", "error", "missing"),
    [
        ([1, 2, 3], [1, NEVER, NEVER], np.inf, 2),  # never predicted
        ([1, NEVER, NEVER], [1, 2, 3], np.inf, 2),  # never learned
        ([1, 2, 3], [1.1, 2.2, NEVER], 0.1, 1),
        ([1, 2, NEVER], [1.1, 2.2, NEVER], 0.1, 0),  # rightly predicted to be never learned
        ([1, 2, NEVER], [1.1, 2.2, 11.0], 0.1, 0),  # predicted after the end of the run, which was stopped
        ([NEVER, NEVER], [NEVER, NEVER], np.nan, 0),
        ([1, NEVER], [1, 2], np.inf, 1),
    ],
)
def test_missing_steps_count_as_infinitely_wrong(measured, predicted, error, missing):
    comparison = compared(measured, predicted)
    np.testing.assert_allclose(comparison.median_error("forecast 0"), error)
    assert comparison.missing_steps("forecast 0") == missing


def test_the_closest_forecast_is_not_the_one_that_predicts_least():
    assert compared([1, 2, 3], [1, NEVER, NEVER], [1.2, 2.4, 3.6]).closest_forecast == "forecast 1"
    assert compared([NEVER, NEVER], [NEVER, NEVER]).closest_forecast is None
    assert compared([NEVER, 2], [NEVER, NEVER], [NEVER, 9]).closest_forecast == "forecast 1"


def test_a_dimension_that_was_never_learned_fails_the_claim_about_its_subspace():
    assert compared([1, 2, NEVER], [1, 2, 3]).lowest_overlap == 0.0
    assert np.isnan(compared([1, 2, 3], [1, 2, 3]).lowest_overlap)  # no embeddings were kept


def recorded(*courses):
    """A run of 100 records, one step apart, of which these are the eigenvalues."""
    u = np.array(courses, float).T
    return Trajectory(np.arange(100.0), u, np.zeros(100), steps=np.arange(100), objective="vicreg")


NOISE = 1e-5 + 1e-6 * np.sin(np.arange(100))
RISE = 1 / (1 + np.exp(30 - np.arange(100.0)))


@pytest.mark.parametrize(
    ("courses", "learned", "line"),
    [
        ([NOISE] * 3, 0, "0 of 3 dimensions learned: learning has not started; nothing has moved since step 0."),
        # equal embeddings from the first record on: the mean alone
        (
            [np.full(100, 3.0), *[np.zeros(100)] * 2],
            0,
            "0 of 3 dimensions learned, 1 there from the start;",
        ),
        ([RISE, NOISE, NOISE], 1, "1 of 3 dimensions learned; 1 of these steps is distinct"),
        ([RISE, RISE, RISE], 3, "3 of 3 dimensions learned; 1 of these steps is distinct"),
        # cosines of 64 dimensions that spread evenly
        ([RISE / 64] * 64, 64, "64 of 64 dimensions learned"),
    ],
)
def test_what_has_not_moved_was_not_learned(courses, learned, line):
    measured = recorded(*courses)
    assert verdict_of(measured).learned == learned
    assert steps_line(measured).startswith(line)
    assert len(distinct_steps(measured)) <= learned


def test_a_run_that_stands_still_says_since_when():
    measured = recorded(RISE, NOISE)
    assert 30 < still_since(measured) < 45  # 30 + ln 200 = 35.3 and its rounding
    assert f"nothing has moved since step {still_since(measured)}." in steps_line(measured)
    assert still_since(recorded(np.linspace(0, 1, 100))) == 99
    assert np.isnan(half_times(measured)[1])
