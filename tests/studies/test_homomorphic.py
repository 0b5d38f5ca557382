"""The study of homomorphic SSL: its parts on small settings, and that wrong theories are reported as failing."""

import json
from dataclasses import replace

import numpy as np
import pytest
from pictures import assert_shows_something

from dynamics.cli.main import main
from dynamics.modes import contrastive_modes
from dynamics.networks.equivariant import EquivariantNetwork
from dynamics.networks.fiber_pairs import FiberPairs
from dynamics.networks.groups import PlaneGroup
from dynamics.studies.homomorphic import scales, study, table
from dynamics.studies.homomorphic.identity import Twins, spectral_filter
from dynamics.studies.homomorphic.steps import Ladder, inv_ratio, ladder
from dynamics.studies.homomorphic.training import Scheme, SchemeScores, measure, rotation_schemes, sweep_schemes
from dynamics.trajectories.comparison import PlateauOverlap, compare
from dynamics.trajectories.trajectory import Trajectory
from dynamics.views import load_images


@pytest.fixture(scope="module")
def images():
    images = load_images("digits", limit=24).images
    return (images - images.mean()) / images.std()


def verdicts(claims):
    return {claim.verdict for claim in claims}


def test_wrong_sign_is_told_from_the_right_one(images):
    twins = Twins(EquivariantNetwork(PlaneGroup("c4", 8, 8), width=4, dim=2, activation="erf"), images[:6], 0)
    assert twins.loss_gap() < 1e-12
    assert verdicts(study._wrong_sign(twins, 0)) == {"holds"}


def test_filter_is_measured_and_not_assumed(images, monkeypatch):
    """The formula agrees with C₊ of the pairs; pairs of another law do not agree with it."""
    group = PlaneGroup("cyclic", 8, 8)
    right = spectral_filter(group, images, 0)
    assert max(right.error.values()) < 1e-12
    for law in right.predicted:
        np.testing.assert_allclose(right.measured[law], right.predicted[law], atol=1e-10)
    at_distance = FiberPairs.at_distance
    monkeypatch.setattr(FiberPairs, "at_distance", lambda group, d: at_distance(group, d % 4 + 1))
    wrong = spectral_filter(group, images, 0)
    assert min(wrong.error[f"distance {d}"] for d in range(1, 5)) > 1e-3
    assert wrong.error["Haar"] < 1e-12


def test_steps_are_forecast(images):
    group = PlaneGroup("c4", 8, 8)
    network = EquivariantNetwork(group, width=4, dim=2, head="flatten")
    found = ladder("p4, Haar", network, FiberPairs.haar(group), images[:12], 0)
    assert found.modes.num_positive == 11
    assert verdicts(study._ladder_claims(found, "12 images", 2)) == {"holds"}
    np.testing.assert_allclose(found.frequencies.sum(axis=1), 1)
    assert found.forecasts.keys() == {"closed_form", "ode", "linearised"}


def test_inv_ratio(rng):
    same = np.repeat(rng.normal(size=(50, 1, 3)), 4, axis=1)
    assert inv_ratio(same) == 0
    assert inv_ratio(rng.normal(size=(4000, 4, 3))) == pytest.approx(1, abs=0.05)
    signs = np.array([1, -1, 1, -1])[:, None]
    assert inv_ratio(signs * rng.normal(size=(500, 1, 3))) == pytest.approx(4 / 3, abs=0.02)


def test_settings_differ_by_one_flag_and_train():
    settings = rotation_schemes((8, 8, 1), 20)
    a, h = settings[1], settings[2]
    assert (a.pairs, a.tied, a.steps) == (h.pairs, h.tied, h.steps) and a.homomorphic != h.homomorphic
    digits = load_images("digits", limit=90)
    start = Scheme("start", h.pairs, True, True, 0)
    before, after = measure([start, h], digits, [0])
    assert before.seconds[0] == 0 < after.seconds[0]
    assert after.inv_ratio[0] < before.inv_ratio[0]
    # shares of the 30 test images and of the 3 turned copies of each
    for share, count in ((after.upright[0], 30), (after.rotated[0], 90)):
        assert 0 <= share <= 1 and share * count == pytest.approx(round(share * count))
    names = [setting.name for setting in sweep_schemes((8, 8, 1), 1)]
    assert names[:4] == ["c4, distance 1", "c4, distance 2", "c4, window 1", "c4, window 2"] and len(names) == 12


def test_a_network_that_needs_no_structure_would_be_reported():
    """With the calibration as measured values all holds; with an invariant plain network the claim of need fails."""

    def rows(broken):
        seconds = dict(zip(table.CALIBRATION, (0.0, 89.0, 49.0, 80.0, 74.0), strict=True))
        return [
            SchemeScores(name, *(np.array([value]) for value in (u, r, broken if "“" in name else i, seconds[name])))
            for name, (u, r, i) in table.CALIBRATION.items()
        ] + predicting

    def row(name, rotated):
        return SchemeScores(name, *(np.array([value]) for value in (0.5, rotated, 0.01, 50.0)))

    predicting = [row(f"p4, {kind}, {name}", 0.3) for kind in ("A-SSL", "H-SSL") for name in table.PREDICTING]
    assert verdicts(table.table_claims(rows(1.48), "")) == {"holds"}
    assert verdicts(table.calibration_claims(rows(1.48), "")) == {"holds"}
    chance = np.array([0.1])
    guessing = [replace(row, upright=chance, rotated=chance) for row in rows(1.48)]
    of_accuracies = [claim for claim in table.calibration_claims(guessing, "") if "accuracy" in claim.claim]
    assert len(of_accuracies) == 10 and verdicts(of_accuracies) == {"fails"}
    failing = [claim.claim for claim in table.table_claims(rows(0.01), "") if claim.verdict == "fails"]
    assert len(failing) == 1 and "without the structure" in failing[0]
    predicting[-1] = row("p4, H-SSL, SimSiam", 0.4)
    failing = [claim.claim for claim in table.table_claims(rows(1.48), "") if claim.verdict == "fails"]
    assert failing == ["p4, SimSiam: H-SSL is as accurate rotated as A-SSL (difference of means)"]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--pairs", "fibers"], "--network group-convnet"),
        (["--network", "group-convnet", "--pairs", "fibers", "--distance", "3"], "distances 0 … 2; 3 is beyond"),
        (["--network", "group-convnet", "--pairs", "group", "--augmentation", "none"], "leave --augmentation out"),
        (["--network", "group-convnet", "--distance", "1"], "--pairs group or --pairs fibers"),
        (["--network", "group-convnet", "--pairs", "fibers", "--dataset", "synthetic"], "needs images"),
        (["--network", "group-convnet", "--kernel", "infinite"], "no infinite-width kernel"),
        (["--network", "group-convnet", "--pairs", "fibers", "--dataset", "oblong.npz"], "are not square"),
    ],
)
def test_mistakes_are_answered_with_one_sentence(arguments, message, tmp_path, monkeypatch, capsys, rng):
    monkeypatch.chdir(tmp_path)
    x = rng.normal(size=(6, 4, 6, 1))
    np.savez("oblong.npz", x=x, x_prime=x)
    assert main(["train", *arguments, "--num-pairs", "6", "--out", "run"]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_scales_are_equivariant_up_to_aliasing(monkeypatch):
    """The error falls with the band limit; with filters of another size than the fiber says it stays."""
    few = load_images("digits", limit=2).images[..., 0]

    def error(pixels):
        return scales.scale_gaps(few, pixels, 0, objectives={}).equivariance

    assert error(0.5) > 30 * error(0.75)
    right = scales.responses
    monkeypatch.setattr(scales, "responses", lambda x, h, g, pixels: right(x, h, 1.1 * g if h == 1 else g, pixels))
    assert error(0.75) > 0.01


def test_claims_about_scales_can_fail():
    falling = [scales.ScaleGaps(p, e, 2 * e, 3 * e) for p, e in ((0.5, 0.1), (1.0, 1e-4))]
    assert verdicts(scales.scale_claims(falling)) == {"holds"}
    staying = [scales.ScaleGaps(p, e, 0.5, 0.5) for p, e in ((0.5, 0.1), (1.0, 0.05))]
    assert verdicts(scales.scale_claims(staying)) == {"fails"}


@pytest.mark.slow
def test_one_flag_from_the_command_line(tmp_path):
    """A-SSL and H-SSL from one start run the same course."""
    settings = ["--network", "group-convnet", "--width", "2", "--num-pairs", "10", "--dim", "2", "--steps", "60"]
    runs = []
    for pairs in ("group", "fibers"):
        assert main(["train", *settings, "--pairs", pairs, "--out", str(tmp_path / pairs)]) == 0
        runs.append(Trajectory.load(tmp_path / pairs / "trajectories" / "network.npz"))
    np.testing.assert_allclose(runs[0].loss, runs[1].loss, rtol=1e-4)
    np.testing.assert_allclose(runs[0].eigenvalues, runs[1].eigenvalues, atol=1e-4)


@pytest.mark.slow
def test_from_the_command_line(tmp_path, capsys):
    assert main(["study", "homomorphic", "--out", str(tmp_path)]) == 0
    assert "H-SSL" in capsys.readouterr().out
    claims = json.loads((tmp_path / "claims.json").read_text())
    assert len(claims) > 35
    exact = [claim for claim in claims if claim["expected"] == 1e-12]
    assert len(exact) >= 15 and {claim["verdict"] for claim in exact} == {"holds"}
    for name in ("filter", "scales", "steps", "ladders", "table", "sweep"):
        assert_shows_something(tmp_path / f"{name}.png")


@pytest.mark.parametrize(("centres", "learned"), [([1.0, 3.0], True), ([1.0, np.inf], False)])
def test_a_dimension_that_was_never_learned_fails(centres, learned):
    """Its plateau has no subspace: the lowest overlap is 0 and the median error infinite, never unknown."""
    times = np.linspace(0, 10, 200)

    def run(centres, rung):
        u = 1 / (1 + np.exp(-4 * (times[:, None] - np.asarray(centres))))
        return Trajectory(times, u, ((1 - u) ** 2).sum(axis=1), rung=rung)

    views = np.random.default_rng(1).normal(size=(8, 10))
    modes = contrastive_modes(views @ views.T)
    compared = compare(run(centres, "network"), {"ode": run([1.0, 3.0], "ode")}, modes)
    if learned:  # overlaps need embeddings, which these have not; one stands for them
        compared = replace(compared, subspace_overlap=[PlateauOverlap(r, 2.0 * r, 0.99, 0.1) for r in (1, 2)])
    fibers = np.random.default_rng(0).normal(size=(3, 4, 2))
    found = Ladder("c4", 2.0, modes, {}, run(centres, "network"), compared, np.ones((2, 3)), fibers, fibers)
    steps, overlap, invariance = study._ladder_claims(found, "digits", 2)
    assert (steps.verdict, overlap.verdict) == (("holds", "holds") if learned else ("fails", "fails"))
    assert invariance.verdict == "holds" and "c = 2" in overlap.source
