"""The forecast as a tool: its answers against logistic curves and real runs, and what a run in progress adds."""

import numpy as np
import pytest
import scipy.integrate

import dynamics
from dynamics.errors import CollapseError, ConfigError, DivergenceError, StabilityError
from dynamics.experiment import objective as module
from dynamics.experiment import prepare
from dynamics.experiment.config import Config
from dynamics.experiment.forecasting import Forecast, forecast_of
from dynamics.experiment.objective import _until_still, as_learned, of_directions
from dynamics.trajectories.comparison import half_times
from dynamics.trajectories.metrics import correlation_spectrum
from dynamics.trajectories.trajectory import Trajectory

GAMMA = np.array([0.4, 0.1, 0.08])
TAU = np.array([3.0, 15.0, 19.0])


@pytest.fixture
def ahead():
    return Forecast(GAMMA, TAU, learning_rate=0.01, stability_limit=0.625)


def logistic(times, gamma=GAMMA, tau=TAU):
    """u' = 8γu(1 − u) through ½ at τ, integrated by SciPy."""
    u0 = 1 / (1 + np.exp(8 * gamma * tau))
    solved = scipy.integrate.solve_ivp(
        lambda _, u: 8 * gamma * u * (1 - u), (0, times[-1]), u0, t_eval=times, rtol=1e-10, atol=1e-14
    )
    u = solved.y.T
    return Trajectory(times, -np.sort(-u, axis=1), ((1 - u) ** 2).sum(axis=1))


def test_answers_about_steps(ahead):
    assert [ahead.learned_by(step) for step in (0, 299, 300, 1500, 10_000)] == [0, 0, 1, 2, 3]
    assert ahead.steps_for(1) == 300 and ahead.steps_for() == 1900
    never = Forecast(GAMMA, np.array([3.0, 15.0, np.inf]), 0.01, 0.625)
    assert never.steps_for(2) == 1500 and never.steps_for() is None


def test_steps_blur_where_the_plateau_between_them_vanishes():
    """Brute force: the loss of two logistic modes, and whether it pauses between their steps."""
    times = np.linspace(0, 60, 6001)
    for ratio, blurs in ((1.1, True), (1.2, True), (2.0, False), (3.0, False)):
        gamma = np.array([ratio, 1.0]) / 8
        tau = 14.0 / (8 * gamma)  # u_0 = e^-14
        pair = Forecast(gamma, tau, 0.01, 2.0)
        assert bool(pair.blurred) == blurs
        speed = -np.gradient(logistic(times, gamma, tau).loss, times)
        between = (times > tau[0]) & (times < tau[1])
        assert (speed[between].min() > 0.1 * speed.max()) == blurs  # a pause is a tenth of the highest speed


def test_the_trajectory_is_the_logistic_curve(ahead):
    times = np.linspace(0, 30, 61)
    np.testing.assert_allclose(ahead.trajectory(times).eigenvalues, logistic(times).eigenvalues, atol=1e-7)


def test_a_run_that_goes_as_forecast_changes_nothing(ahead):
    updated = ahead.updated(logistic(np.linspace(0, 8, 161)))
    np.testing.assert_allclose(updated.step_times, TAU, rtol=1e-3)
    assert updated.known_until == 8.0


def test_a_run_with_other_rates_corrects_the_forecast(ahead):
    """Modes 2 and 3 grow 30 % faster than their kernel says; mode 1 has been learned, late."""
    gamma, tau = GAMMA * [0.8, 1.3, 1.3], TAU * [1.2, 0.75, 0.8]
    updated = ahead.updated(logistic(np.linspace(0, 8, 161), gamma, tau))
    np.testing.assert_allclose(updated.step_times, tau, rtol=2e-3)
    np.testing.assert_allclose(updated.eigenvalues[1:], gamma[1:], rtol=1e-2)


def test_modes_below_the_noise_follow_the_clock_of_those_that_are_not(ahead):
    """Mode 3 is hidden under a negative eigenvalue, and the run is twice as slow as its forecast."""
    run = logistic(np.linspace(0, 10, 201), GAMMA / 2, TAU * 2)
    hidden = run.eigenvalues.copy()
    hidden[:, 2] = -1e-9
    updated = ahead.updated(Trajectory(run.times, hidden, run.loss))
    np.testing.assert_allclose(updated.step_times, TAU * 2, rtol=5e-3)


def test_mistakes_are_named(ahead):
    run = logistic(np.linspace(0, 1, 5))
    with pytest.raises(ConfigError, match="3 embedding dimensions and the forecast 2"):
        Forecast(GAMMA[:2], TAU[:2], 0.01, 0.6).updated(run)
    with pytest.raises(ConfigError, match="fewer than two"):
        ahead.updated(Trajectory(run.times[:1], run.eigenvalues[:1], run.loss[:1]))
    with pytest.raises(ConfigError, match="1 to 3"):
        ahead.steps_for(4)


@pytest.fixture(scope="module")
def pairs():
    return dynamics.load_pairs("digits", num_pairs=24)


def test_a_network_on_pairs_in_memory_is_forecast_as_the_command_line_does(pairs):
    settings = {"dim": 3, "init_scale": 1e-3}
    ahead = dynamics.forecast(pairs, dynamics.MLP(depth=1, width=64), **settings)
    from dynamics.experiment import forecast_trajectories, prepare
    from dynamics.experiment.config import Config

    experiment = prepare(Config(num_pairs=24, network="mlp", depth=1, width=64, **settings))
    assert experiment.kernel_moves
    named = forecast_of(experiment, forecast_trajectories(experiment)["relinearised"])
    np.testing.assert_allclose(ahead.step_times, named.step_times)
    assert ahead.learning_rate == named.learning_rate


def test_a_real_run_half_way_tells_its_own_end():
    """Lazy enough or not: at multiplier 1 the forecast is off, and the first half of the run mends the second."""
    from dynamics.experiment import prepare, train
    from dynamics.experiment.config import Config

    experiment = prepare(Config(network="mlp", depth=1, width=64, num_pairs=24, dim=4, multiplier=1.0))
    whole, before = train(experiment), forecast_of(experiment)
    made = dynamics.step_times(whole)
    half = int(np.searchsorted(whole.times, 0.6 * made[3]))
    seen = Trajectory(whole.times[:half], whole.eigenvalues[:half], whole.loss[:half])
    unknown = made > seen.times[-1]
    assert unknown.any()
    error = [np.abs(f.step_times[unknown] / made[unknown] - 1).max() for f in (before, before.updated(seen))]
    # how much it mends is known where the run is a logistic curve, in the tests above; here it has to mend at all
    assert error[1] < error[0]


def test_a_kernel_is_forecast_too(pairs):
    """The start is a draw of the kernel's Gaussian process; closed form and kernel flow from it agree."""
    kernel = dynamics.linear()
    ahead = dynamics.forecast(pairs, kernel, dim=3, init_scale=1e-5)
    modes = dynamics.contrastive_modes(dynamics.gram(kernel, pairs.stacked), center=True)
    np.testing.assert_allclose(ahead.eigenvalues, modes.eigenvalues[:3])
    start = 1e-3 * np.random.default_rng(3).normal(size=(48, 3))
    given = dynamics.forecast(pairs, kernel, dim=3, start=start)
    times = np.linspace(0, 1.5 * given.step_times[-1], 400)
    flow = dynamics.kernel_flow(modes, start - start.mean(axis=0), times)
    np.testing.assert_allclose(given.step_times, dynamics.step_times(flow), rtol=0.1)


def test_what_cannot_be_learned_or_is_unstable_is_refused(pairs):
    with pytest.raises(CollapseError):
        dynamics.forecast(pairs, dynamics.linear(), dim=30)
    with pytest.raises(StabilityError):
        dynamics.forecast(pairs, dynamics.linear(), dim=3, learning_rate=1e9)


def test_a_forecast_that_is_lost_keeps_what_was_followed(capsys):
    def flow(times):
        if times[-1] > 5:
            raise DivergenceError("The flow is lost.")
        return Trajectory(times, eigenvalues=times[:, None], loss=times)

    found = _until_still(flow, end=1.0, shortest=0.1, longer=12, still=0.01, gone=0.01)
    assert found.times[-1] == pytest.approx(4.0)
    assert "ends at t = 4, before it stands still: The flow is lost." in capsys.readouterr().err
    with pytest.raises(DivergenceError):
        _until_still(flow, end=6.0, shortest=0.1, longer=12, still=0.01, gone=0.01)


def test_spectra_of_directions_do_not_depend_on_lengths(rng):
    F, times = rng.normal(size=(2, 6, 3)), np.array([0.0, 1.0])
    long = F * rng.uniform(1e-6, 5, size=(2, 6, 1))
    found = [
        of_directions(Trajectory(times, np.ones((2, 3)), times, embeddings=E, embedding_times=times)) for E in (F, long)
    ]
    np.testing.assert_allclose(found[0].eigenvalues, found[1].eigenvalues, rtol=1e-9)
    np.testing.assert_allclose(found[1].covariance.sum(axis=1), 1.0, rtol=1e-12)
    np.testing.assert_allclose(
        found[1].eigenvalues[1], correlation_spectrum(F[1] / np.linalg.norm(F[1], axis=1)[:, None])
    )


def test_a_start_too_short_for_an_objective_of_directions_is_named(monkeypatch):
    """The flow is lost at any length here, as it is from short embeddings; only objectives of directions get advice."""

    def lost(*_, **__):
        raise DivergenceError("The flow is lost.")

    monkeypatch.setattr(module, "objective_flow", lost)
    experiment = prepare(Config(network="mlp", width=8, depth=1, num_pairs=6, dim=2))
    with pytest.raises(DivergenceError, match=r"simclr sees directions alone.* raise `init_scale`, to 1 for example"):
        module.forecast_objective("simclr", experiment)
    with pytest.raises(DivergenceError, match=r"^The flow is lost"):
        module.forecast_objective("lejepa", experiment)


def test_what_an_objective_blind_to_partners_learns_is_read_from_the_covariance():
    """SIGReg learns directions in which partners disagree: the cross-correlation ends negative there."""
    experiment = prepare(Config(network="mlp", width=64, depth=1, num_pairs=12, dim=4))
    found = module.forecast_objective("sigreg", experiment)
    np.testing.assert_array_equal(as_learned(found).eigenvalues, found.covariance)
    assert np.isfinite(half_times(as_learned(found))).all()
    other = module.forecast_objective("lejepa", experiment)
    assert as_learned(other) is other


@pytest.mark.parametrize("scale", [1e-3, 1.0])
def test_a_force_that_points_inwards_shrinks_a_small_start_and_fills_a_large_one(scale):
    """Below VISReg's barrier no deviation survives, and above it all end well above; the flow ends in both cases."""
    experiment = prepare(Config(network="mlp", width=64, depth=1, num_pairs=12, dim=2, init_scale=scale))
    found = module.forecast_objective("visreg", experiment).covariance
    if scale < 1:
        assert found[-1].max() < 0.2 * found[0].max()
    else:
        assert found[-1].min() > 0.1
