"""The study of SimVAE: its exact claims hold, wrong results fail, and it runs from the command line."""

import json
from dataclasses import replace

import numpy as np
import pytest
from pictures import assert_shows_something

from dynamics.cli.main import main
from dynamics.errors import ConfigError, DataError
from dynamics.generative import Bernoulli, frechet_distance, make_method
from dynamics.studies import load_study
from dynamics.studies.simve import exact, search, study
from dynamics.studies.simve.budget import budget_curves
from dynamics.studies.simve.exact import expansion_claims, mehler_claims, prior_claims, threshold_claims
from dynamics.studies.simve.generated import classifier_features
from dynamics.studies.simve.methods import JOINT, NAMES, RANDOM, VAES, Results, fit_method, load_task, probe
from dynamics.studies.simve.settings import CPU, RELEASED, setting

METHODS = (RANDOM, *VAES, "SimVAE J = 2", "SimVAE J = 6", *JOINT)


@pytest.mark.parametrize(
    "claims", [threshold_claims, lambda: prior_claims(1), lambda: mehler_claims(1), lambda: expansion_claims(1)[:2]]
)
def test_exact_claims_hold(claims):
    assert {claim.verdict for claim in claims()} == {"holds"}


def test_weights_are_told_from_those_of_the_expansion(monkeypatch):
    """The released covariance weighs a third of what the expansion gives, so the claim fails; its own weights hold."""
    claim = expansion_claims(1)[-1]
    assert claim.verdict == "fails" and claim.measured == pytest.approx(2 / 25 * 4)
    monkeypatch.setattr(exact, "RELEASED_WEIGHTS", exact.vicreg_weights(0.15))
    assert expansion_claims(1)[-1].verdict == "holds"


def results(**changes):
    """Scores like those of the calibration on digits, with other means for some (method, measure)."""
    means = {name: {"content linear": 0.5, "content knn": 0.91, "style shift linear": 0.74} for name in METHODS}
    for name in JOINT:
        means[name] = {"content linear": 0.93, "content knn": 0.95, "style shift linear": 0.13}
    means["SimVAE J = 2"] |= {"content linear": 0.81}
    means["SimVAE J = 6"] |= {"content linear": 0.885, "content knn": 0.93, "style shift linear": 0.77}
    for scores in means.values():
        scores |= {f"{name} on views": score for name, score in scores.items() if "content" in name}
    for key, value in changes.items():
        name, measure = key.split("|")
        means[name][measure] = value
    noise = np.array([-0.01, 0.0, 0.01])
    return Results(
        {n: {k: m + noise * (i % 3 + 1) for k, m in v.items()} for i, (n, v) in enumerate(means.items())}, {}
    )


def failing(found):
    return [
        claim.claim
        for claim in [*study._orderings(found, CPU["digits"]), *study._calibration(found)]
        if claim.verdict == "fails"
    ]


def test_claims_follow_the_scores():
    assert failing(results()) == []
    (claim,) = failing(results(**{"SimVAE J = 6|style shift linear": 0.65}))
    assert claim.startswith("SimVAE J = 6 keeps the shift")
    wrong = failing(results(**{"Barlow Twins|style shift linear": 0.5}))
    assert any(claim.startswith("SimVAE J = 6 knows the shift") for claim in wrong)
    wrong = failing(results(**{"CR-VAE|content linear": 0.9}))
    assert any("better than the best VAE (CR-VAE)" in claim for claim in wrong)
    wrong = failing(results(**{"Barlow Twins|content linear on views": 0.8}))
    assert any(claim.startswith("Barlow Twins reads digits") for claim in wrong)


def test_released_settings_are_those_of_the_code():
    mnist, cifar = setting("mnist", True), setting("cifar10", True)
    assert (mnist.widths, mnist.latent, mnist.batch, mnist.learning_rate) == ((2000, 500, 500), 10, 128, 8e-5)
    assert (mnist.adam_epsilon, mnist.prior.within_variance, mnist.views) == (1e-4, 0.15, (2,))
    assert np.log(mnist.noise) == pytest.approx(-4.6) and mnist.steps == 400 * (60_000 // 64)
    assert isinstance(mnist.model((28, 28, 1)).likelihood, Bernoulli)
    assert cifar.latent == 64 and cifar.widths == (32, 64, 128)
    assert set(CPU) == {"digits", *RELEASED}
    with pytest.raises(ConfigError, match="no setting for `digits` at full size"):
        setting("digits", True)
    with pytest.raises(ConfigError, match="no setting for `stl10`; it has digits, mnist"):
        setting("stl10", False)


def test_mistakes_are_reported_before_anything_long(tmp_path):
    with pytest.raises(DataError):
        load_study("simve").run(tmp_path, dataset="mnist", data_dir=tmp_path)
    with pytest.raises(DataError, match="CelebA cannot be downloaded"):
        load_study("simve").run(tmp_path, dataset="celeba")
    with pytest.raises(ConfigError, match="at least 2, for error bars"):
        load_study("simve").run(tmp_path, num_seeds=1)


def test_probes_are_on_images_that_were_not_trained_on():
    task = load_task(CPU["digits"], None, 0)
    assert len(task.images) == 1347 and len(task.train) == 2 * 1347 and len(task.test) == 2 * 450
    unshifted = {np.sort(image.ravel() / image.max()).round(5).tobytes() for image in task.images}
    assert len(task.clean) == 1347 and not task.clean.style
    assert {image.tobytes() for image in task.clean.views} == {image.tobytes() for image in task.images}
    assert not {image.tobytes() for image in task.clean_test.views} & {image.tobytes() for image in task.images}
    seen = [np.sort(view.ravel() / view.max()).round(5).tobytes() in unshifted for view in task.test.views[:100]]
    assert np.mean(seen) < 0.05


@pytest.mark.slow
def test_from_the_command_line(tmp_path, capsys):
    """Everything with few updates: whatever comes out, it is printed, saved and drawn."""
    assert main(["study", "simve", "--out", str(tmp_path), "--steps", "40", "--num-seeds", "2"]) == 0
    assert "Barlow Twins reads digits" in capsys.readouterr().out.replace("\n", " ").replace("  ", " ")
    assert len(json.loads((tmp_path / "claims.json").read_text())) > 30
    names = (
        "linear_dynamics",
        "linear_thresholds",
        "methods_digits",
        "budgets_digits",
        "noise_digits",
        "images_digits",
    )
    for name in names:
        assert_shows_something(tmp_path / f"{name}.png")
    scores = json.loads((tmp_path / "scores_digits.json").read_text())
    assert set(scores) == set(METHODS) and scores["VAE"]["content linear"]["std"] >= 0
    assert not (tmp_path / "unfinished").exists()


@pytest.mark.slow
def test_calibration_on_digits(tmp_path):
    """The effects with their margins, three seeds: some minutes."""
    claims = load_study("simve").run(tmp_path)
    assert [claim.claim for claim in claims if "calibration" in claim.source and claim.verdict != "holds"] == []


@pytest.mark.slow
def test_mnist_files_are_read_and_compared(tmp_path, data_dir):
    claims = load_study("simve").run(tmp_path, dataset="mnist", data_dir=data_dir, num_seeds=2, steps=20)
    assert any("mnist" in claim.source for claim in claims)
    assert_shows_something(tmp_path / "methods_mnist.png")


def test_the_search_chooses_what_reads_best_and_is_kept(monkeypatch, tmp_path):
    """Embeddings hold the class the better, the closer the strength is to one of each method; no test image is seen."""
    task = load_task(CPU["digits"], None, 0)
    best = {"β-VAE": 2.0, "CR-VAE": 0.3, "SimCLR": 0.5, "VICReg": 2.0, "Barlow Twins": 0.0051 * 8191 / 15, "L_λ": 0.3}
    names = {name: title for title, name in NAMES.items()}
    trained = []

    class Known:
        def __init__(self, name, strength):
            self.noise = abs(np.log(strength / best[names[name]]))

        def embed(self, views, index):
            assert views is task.clean.views
            return np.eye(10)[task.clean.content] + self.noise * np.random.default_rng(0).normal(size=(len(views), 10))

    def fit(task, method, num_seeds, seed, *, steps):
        trained.append(steps)
        return Known(*method)

    monkeypatch.setattr(search, "make_method", lambda name, model, *, strength: (name, strength))
    monkeypatch.setattr(search, "fit_method", fit)
    found = search.best_strengths(task, 0, checkpoints=tmp_path / "unfinished")
    assert found == pytest.approx(best) and trained == [1000] * 18
    assert search.best_strengths(task, 0, checkpoints=tmp_path / "unfinished") == found and len(trained) == 18


@pytest.mark.slow
def test_budgets_are_trainings_of_their_own_between_none_and_all(tmp_path):
    """Four and eight updates of every method, against the same training by hand; the ends are what is known."""
    task = load_task(replace(CPU["digits"], steps=16, budgets=(4, 8), views=(2,)), None, 0)
    known = {
        name: {"content linear": np.full(2, 0.1 * i)} for i, name in enumerate((RANDOM, *VAES, "SimVAE J = 2", *JOINT))
    }
    curves = budget_curves(task, Results(known, {}), 2, 0, measure="content linear")
    assert set(curves) == set(known) - {RANDOM}
    assert all(list(curve) == [0, 4, 8, 16] for curve in curves.values())
    for name, curve in curves.items():
        assert (curve[0] == 0).all() and (curve[16] == known[name]["content linear"]).all()
    method = make_method("vae", task.setting.model(task.shape))
    by_hand = probe(fit_method(task, method, 2, 0, steps=8), task, thorough=False)["content linear"]
    np.testing.assert_array_equal(curves["VAE"][8], by_hand)


def test_features_of_a_classifier_tell_noise_from_digits():
    """Other digits are nearer to digits than noise of the same mean and variance of every pixel is."""
    task = load_task(CPU["digits"], None, 0)
    real, other = task.clean.views, task.clean_test.views
    features = classifier_features(real, task.clean.content)
    noise = np.random.default_rng(0).normal(real.mean(0), real.std(0), size=other.shape)
    distance = {
        name: frechet_distance(features(real), features(views)) for name, views in (("other", other), ("noise", noise))
    }
    assert 3 * distance["other"] < distance["noise"]
