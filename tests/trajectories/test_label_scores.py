"""Scores of labels along a trajectory, against probes by hand and against brute force."""

import numpy as np
import pytest

from dynamics.errors import ConfigError
from dynamics.trajectories import Trajectory
from dynamics.trajectories.label_scores import (
    ACCURACY,
    LabelProbe,
    at_plateaus,
    plateau_starts,
    score_names,
    scored_forecast,
    with_scores,
)
from dynamics.trajectories.probes import knn_probe, knn_regression, linear_probe, linear_regression

TRAIN, TEST = 30, 14


@pytest.fixture
def run(rng):
    """Two dimensions learned at t = 2 and t = 6 of 10; embeddings at three of eleven records."""
    t = np.arange(11.0)
    u = 1 / (1 + np.exp(-4 * (t[:, None] - np.array([2.0, 6.0]))))
    embeddings = rng.normal(size=(3, TRAIN + TEST, 2))
    return Trajectory(t, u, ((1 - u) ** 2).sum(axis=1), embeddings=embeddings, embedding_times=t[[0, 4, 8]], rung="ode")


@pytest.fixture
def classes(rng):
    return LabelProbe(rng.integers(0, 3, TRAIN), rng.integers(0, 3, TEST))


def test_scores_are_those_of_the_probes_at_records_with_embeddings(run, classes):
    scored = with_scores(run, classes)
    for record, F in zip([0, 4, 8], run.embeddings, strict=True):
        given = F[:TRAIN], classes.train, F[TRAIN:], classes.test
        linear = linear_probe(*given)
        assert [scored.metrics[name][record] for name in ACCURACY] == [linear.test, knn_probe(*given), linear.train]
    assert np.isfinite(scored.metrics["knn_accuracy"]).sum() == 3
    assert scored.embeddings is None and with_scores(run, classes, keep_embeddings=True).embeddings is run.embeddings


def test_a_plateau_is_scored_in_its_middle(run, classes):
    scored = with_scores(run, classes)
    np.testing.assert_allclose(plateau_starts(run), [2, 6], atol=1e-6)
    # the plateaus are from 2 to 6 and from 6 to the end at 10; records 4 and 8 lie in their middles
    assert at_plateaus(scored, "linear_accuracy").tolist() == scored.metrics["linear_accuracy"][[4, 8]].tolist()


def test_the_highest_rung_with_scores_is_the_forecast(run, classes):
    scored = with_scores(run, classes)
    assert score_names(run) is None and scored_forecast({"ode": run}) is None
    assert scored_forecast({"bilinear": scored, "ode": scored, "relinearised": run}) is scored


def test_scores_of_embeddings_that_say_nothing_are_nan(classes):
    flat, broken = np.ones((TRAIN, 2)), np.full((TRAIN, 2), np.nan)
    for train in (flat, broken):
        assert all(np.isnan(score) for score in classes.scores(train, np.ones((TEST, 2))).values())


def test_the_probe_refuses_one_class_and_other_views(run, classes):
    with pytest.raises(ConfigError, match="two classes"):
        LabelProbe(np.zeros(TRAIN, int), np.zeros(TEST, int))
    with pytest.raises(ConfigError, match="held-out"):
        with_scores(run, LabelProbe(classes.train, classes.test[1:]))


def test_real_targets_are_scored_by_their_determination(rng):
    """R² against its definition, with ridge regression and weighted neighbours written out."""
    Z, Z_test = rng.normal(size=(TRAIN, 3)), rng.normal(size=(TEST, 3))
    W = rng.normal(size=(3, 2))
    Y, Y_test = (z @ W + 0.5 * rng.normal(size=(len(z), 2)) + 3.0 for z in (Z, Z_test))

    def determination(predicted):
        return np.mean(1 - ((Y_test - predicted) ** 2).sum(0) / ((Y_test - Y_test.mean(0)) ** 2).sum(0))

    mean, scale = Z.mean(0), np.linalg.svd(Z - Z.mean(0), compute_uv=False)[0] / TRAIN**0.5
    X, X_test = (Z - mean) / scale, (Z_test - mean) / scale
    weights = np.linalg.solve(X.T @ X + 0.1 * TRAIN * np.eye(3), X.T @ (Y - Y.mean(0)))
    fitted = linear_regression(Z, Y, Z_test, Y_test, ridge=0.1)
    assert fitted.test == pytest.approx(determination(X_test @ weights + Y.mean(0)), rel=1e-9)

    predicted = []
    for z in Z_test:
        cosines = Z @ z / np.linalg.norm(Z, axis=1) / np.linalg.norm(z)
        nearest = cosines.argsort()[-5:]
        votes = np.exp(cosines[nearest] / 0.07)
        predicted.append(votes @ Y[nearest] / votes.sum())
    assert knn_regression(Z, Y, Z_test, Y_test, neighbors=5) == pytest.approx(determination(np.array(predicted)))

    probe = LabelProbe(Y, Y_test)
    assert list(probe.scores(Z, Z_test)) == ["linear_r2", "knn_r2", "linear_r2_on_pairs"] and probe.chance == 0
