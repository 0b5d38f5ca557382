"""The study of Simon et al. 2023 on small settings, and its Fig. 1A,B on real images."""

import json

import numpy as np
import pytest
from pictures import assert_shows_something

from dynamics.errors import ConfigError, DataError
from dynamics.studies import Claim, save_claims
from dynamics.studies.stepwise import first_figure, study
from dynamics.trajectories.comparison import step_times
from dynamics.trajectories.trajectory import Trajectory


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """All but the practical networks, which take minutes; `test_stepwise_practical.py` has their claims."""
    out = tmp_path_factory.mktemp("study")
    linear_blur = study.linear_blur
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "practical_claims", lambda *_: [])
        patch.setattr(
            study,
            "linear_blur",
            lambda _, seeds: {alpha: np.repeat(rows, 2, axis=1) for alpha, rows in linear_blur(40, seeds[:1]).items()},
        )
        return out, study.run(out, num_pairs=100, dim=4, width=256, num_seeds=2)


def test_every_claim_is_decided_and_holds(finished):
    _, claims = finished
    assert len(claims) >= 17
    assert [claim.claim for claim in claims if claim.verdict != "holds"] == []


def test_claims_say_where_they_come_from(finished, tmp_path):
    _, claims = finished
    assert all(claim.source for claim in claims)
    assert len({claim.claim for claim in claims}) == len(claims)
    save_claims(claims, tmp_path / "claims.json")
    assert len(json.loads((tmp_path / "claims.json").read_text())) == len(claims)


def test_figures_and_data_are_written(finished):
    out, _ = finished
    for name in ("fig1_digits", "mlp_digits"):
        for suffix in ("png", "pdf"):
            assert_shows_something(out / f"{name}.{suffix}")
    assert Trajectory.load(out / "fig1_digits_measured.npz").rung == "linear_model"
    assert Trajectory.load(out / "fig1_digits_predicted.npz").rung == "closed_form"
    assert not list(out.glob("*.partial"))


def test_a_wrong_theory_fails(tmp_path, monkeypatch):
    """With step times 10 % off the claim of Fig. 1 is reported as failing."""
    right = first_figure.closed_form

    def wrong(modes, initial, times):
        theory = right(modes, initial, times)
        tau = [1.1 * t for t in theory.mode_step_times]
        return Trajectory(theory.times, theory.eigenvalues, theory.loss, mode_step_times=np.array(tau))

    monkeypatch.setattr(first_figure, "closed_form", wrong)
    claim, _ = first_figure.figure_1(tmp_path, "digits", None, 60, 3, 0)
    assert claim.verdict == "fails" and claim.measured == pytest.approx(1.1, abs=0.05)


def test_missing_files_are_reported_as_such(tmp_path):
    with pytest.raises(DataError):
        first_figure.figure_1(tmp_path, "cifar10", tmp_path, 20, 2, 0)


@pytest.mark.slow
def test_figure_1_on_cifar10(tmp_path, data_dir):
    """500 images, two 20×20 crops each: all ten steps within 5 % of the forecast."""
    claims = first_figure.figure_1(tmp_path, "cifar10", data_dir, 500, 10, 0)
    assert [claim.verdict for claim in claims] == ["holds", "holds"]
    measured = Trajectory.load(tmp_path / "fig1_cifar10_measured.npz")
    predicted = Trajectory.load(tmp_path / "fig1_cifar10_predicted.npz")
    ratios = np.sort(predicted.mode_step_times) / step_times(measured)
    assert len(ratios) == 10
    np.testing.assert_allclose(ratios, 1, atol=0.05)


def test_a_step_that_never_came_fails_and_is_not_unknown():
    for ratios in ([1.0, 0.99, np.nan], [np.nan] * 3):
        measured = first_figure.worst_ratio(np.array(ratios))
        assert Claim.equals("", "", expected=1.0, measured=measured, tolerance=0.05).verdict == "fails"
    assert first_figure.worst_ratio(np.array([1.01, 0.9, 1.05])) == 0.9


def test_one_seed_has_no_interval(tmp_path):
    with pytest.raises(ConfigError, match="at least 2"):
        study.run(tmp_path, num_seeds=1)
