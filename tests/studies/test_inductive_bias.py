"""The study of inductive bias: exact numbers as stated, trained parts small, failing claims reported as failing."""

import json

import jax
import numpy as np
import pytest
from pictures import assert_shows_something

from dynamics.cli.main import main
from dynamics.errors import ConfigError
from dynamics.function_classes import ReLUUnits, restricted_gap
from dynamics.studies import load_study
from dynamics.studies.inductive_bias.bounds import bounds
from dynamics.studies.inductive_bias.cluster_claims import cluster_claims, order_claim
from dynamics.studies.inductive_bias.clusters import ClusterProbe, gap, probe_clusters
from dynamics.studies.inductive_bias.exact import average_errors, law, law_claims, loss_mode_by_mode, spectra
from dynamics.studies.inductive_bias.explicit import explicit_minimisers
from dynamics.studies.inductive_bias.figures import bounds_figure, clusters_figure, errors_figure, phi_figure
from dynamics.studies.inductive_bias.implementable import PAPER_SIZES, PAPER_TABLE, Budget, Implementable, measure
from dynamics.studies.inductive_bias.study import phi_claims
from dynamics.studies.inductive_bias.training import Runs, success_claims, train_and_probe, trained_laws
from dynamics.views import SignedCube


def test_spectra():
    claims = spectra(0)
    assert {claim.verdict for claim in claims} == {"holds"}
    sampled = {claim.expected: claim for claim in claims if claim.tolerance == 0.002}
    assert set(sampled) == {27 / 28, 0.75}


def test_loss_mode_by_mode():
    claims = loss_mode_by_mode(1)
    assert {claim.verdict for claim in claims} == {"holds"}
    assert any(claim.expected == 1e-5 and "minimum" in claim.claim for claim in claims)


def test_explicit_minimisers():
    claims = explicit_minimisers(0)
    assert [claim.claim for claim in claims if claim.verdict != "holds"] == []
    assert sum("misprint" in claim.claim for claim in claims) == 3
    assert sum(claim.expected == 1e-10 for claim in claims) >= 8


def test_bounds_are_obeyed_and_not_empty():
    found, claims = bounds(0, repetitions=40)
    assert {claim.verdict for claim in claims} == {"holds"}
    assert (found["error"] / found["bound"]).max() > 0.02  # a bound a thousand times too large would say nothing
    assert bounds_figure(found).axes


def test_laws_from_the_flow(monkeypatch):
    """On a smaller cube, so that universal functions are few."""
    cube = SignedCube(4, 2)
    laws = average_errors(0, cube)
    laws["universal"] = {k: v for k, v in laws["universal"].items() if k <= 16}
    for name, errors in laws.items():
        for k, (mean, standard_error) in errors.items():
            # of 16 universal functions few starts are averaged, so three standard errors may be more than the 0.04
            assert abs(mean - law(name, k, cube)) < max(0.04, 3 * standard_error), (name, k)
    assert law("linear", 1, cube) == 0.5 and law("linear with bias", 1, cube) == 1 - 1 / 3
    assert law("universal", 4, SignedCube(6, 3)) == pytest.approx(0.9375)
    off = {"linear": {1: (0.6, 0.01), 2: (0.0, 0.0)}}
    assert law_claims(off, cube, "made up")[0].verdict == "fails"


def test_shares_of_seeds_are_claims_that_can_fail():
    some = Runs(np.array([0.0, 0.0, 0.3, 0.2]), np.array([0.1, 0.2, 0.3, 0.4]))
    none = Runs(np.array([0.3, 0.2, 0.3, 0.2]), np.array([0.1, 0.2, 0.3, 0.4]))
    assert (some.solved, some.chosen, none.solved, none.chosen) == (0.5, 0.0, 0.0, 0.3)
    runs = {
        "ReLU units": {4: some, 8: some},
        "convolution": {4: some},
        "Lipschitz": {4: none},
        "ReLU units, ring": {4: none},
    }
    claims = success_claims(runs, at_one=none, num_seeds=4)
    failing = [claim.claim for claim in claims if claim.verdict == "fails"]
    assert any("Lipschitz" in claim for claim in failing) and any("ring" in claim for claim in failing)


def test_shares_that_seeds_do_not_tell_apart_are_no_finding():
    """All of 16 seeds against none tell; 9 of 16 against 6 do not."""

    def runs(solved):
        return Runs(np.where(np.arange(16) < solved, 0.0, 0.3), np.ones(16))

    other = {"convolution": {4: runs(16)}, "Lipschitz": {4: runs(16)}, "ReLU units, ring": {4: runs(0)}}
    for four, eight, at_one, verdicts in (
        (16, 0, 3, ["holds", "holds", "holds"]),
        (9, 6, 12, ["fails", "fails", "fails"]),
    ):
        claims = success_claims({"ReLU units": {4: runs(four), 8: runs(eight)}, **other}, runs(at_one), 16)
        assert [claim.verdict for claim in claims[:3]] == verdicts


def test_order_and_values_of_table_1_are_claims():
    def claims(dataset, **phi):
        return phi_claims(Implementable({name: np.array([v, v]) for name, v in phi.items()}, PAPER_SIZES, dataset))

    table = {"ResNet": PAPER_TABLE["ResNet-18"], "ViT": PAPER_TABLE["ViT"]}
    assert {claim.verdict for claim in claims("cifar10 train", **table)} == {"holds"}
    assert len(claims("cifar10 train", **table)) == 10 and len(claims("digits", **table)) == 2
    other = claims("cifar10 train", ResNet=table["ViT"], ViT=table["ResNet"])
    assert [claim.verdict for claim in other[:2]] == ["holds", "fails"] and other[5].verdict == "fails"
    assert claims("digits", **dict.fromkeys(table, table["ViT"]))[0].verdict == "fails"


def test_gap_of_pairs_is_the_gap_of_the_graph(rng):
    """`restricted_gap` of the graph that joins the two views of each pair."""
    F = rng.normal(size=(40, 3))
    F[20:] = F[:20] + 0.3 * rng.normal(size=(20, 3))
    clusters = np.tile(np.arange(20) % 2, 2)
    graph = np.kron([[0, 1], [1, 0]], np.eye(20))
    assert gap(F, clusters) == pytest.approx(restricted_gap(F, graph, clusters), rel=1e-9)


def test_classes_that_are_implemented_obey_the_theorem(rng):
    """Outputs that are noisy indicators: α and the error are small, β is that of the noise of views."""
    labels = np.arange(90) % 3
    views = np.concatenate([np.eye(3)[labels] + 0.05 * rng.normal(size=(90, 3)) for _ in range(2)])
    found = probe_clusters([views], labels)
    assert found.alpha == 0 and found.error < 0.05 and found.beta == pytest.approx(1, abs=0.5)
    split = views.copy()
    split[:, 2] = np.tile(rng.choice([-1.0, 1.0], 90), 2)  # partners share what splits a class
    assert probe_clusters([split], labels).beta < 1e-10
    assert np.isnan(probe_clusters([], labels).beta)


def test_claims_about_clusters_can_fail():
    def measured(beta, alpha, errors, bound):
        probes = {
            name: [ClusterProbe(beta, alpha, error, 0.1, bound)] * 2 for name, error in zip("abcd", errors, strict=True)
        }
        phi = {name: np.full((2, 2), 0.1 * (i + 1)) for i, name in enumerate("abcd")}
        return Implementable(phi, (2, 5), "digits", probes)

    good = measured(0.5, 0.01, (0.1, 0.2, 0.3, 0.4), 0.3)
    assert {claim.verdict for claim in cluster_claims(good)} == {"holds"} and len(cluster_claims(good)) == 7
    bad = measured(0.001, 0.1, (0.4, 0.3, 0.2, 0.1), 0.05)
    assert [claim.verdict for claim in cluster_claims(bad)] == ["fails"] * 5 + ["holds"] + ["fails"]
    silent = measured(0.1, 0.5, (0.1, 0.2, 0.3, 0.4), np.inf)  # the theorem says nothing, so nothing obeys it
    assert [claim.verdict for claim in cluster_claims(silent)] == ["fails"] * 4 + ["unknown", "fails", "holds"]
    assert order_claim(bad).measured == pytest.approx(-1)


def test_a_trained_class_solves_its_task_with_some_seed():
    cube = SignedCube(4, 1)
    runs = train_and_probe(ReLUUnits(), cube, dims=(2,), weight=0.3, num_seeds=6, seed=0, steps=600)[2]
    assert runs.error.shape == (6,) and 0 < runs.solved <= 1 and runs.chosen < 0.01


@pytest.mark.slow
def test_agreement_of_networks_rises_with_m():
    budget = Budget((1, 2, 4), (2, 4), (1.0,), pretraining=3, tuning=2, batch=8)
    measured = measure("digits", budget, seeds=(0, 1))
    assert clusters_figure(measured).axes and len(cluster_claims(measured)) == 4 + 3
    assert set(measured.phi) == {"MLP", "CNN", "ResNet", "ViT"}
    for phi in measured.phi.values():
        assert phi.shape == (2, 3) and (np.diff(phi) >= 0).all() and (phi[:, 0] > 0).all() and phi.max() < 2
    assert phi_figure(measured).axes


def test_what_a_user_may_get_wrong(tmp_path, capsys):
    with pytest.raises(ConfigError, match="at least 1"):
        load_study("inductive-bias").run(tmp_path, num_seeds=0)
    assert main(["study", "inductive-bias", "--dim", "3"]) == 2
    assert "fixes --dim itself" in capsys.readouterr().err


def test_figure_of_errors():
    cube = SignedCube(3, 1)
    laws = {name: {1: (0.2, 0.1), 2: (0.0, 0.0)} for name in ("linear", "linear with bias", "universal")}
    run = Runs(np.array([0.0, 0.4]), np.array([0.1, 0.2]))
    names = ("ReLU units", "Lipschitz", "convolution", "ReLU units, ring")
    figure = errors_figure(laws, laws, cube, {name: {1: run, 4: run} for name in names})
    assert len(figure.axes) == 4
    assert all(ax.get_xlabel() for ax in figure.axes)


@pytest.mark.slow
def test_laws_from_descent():
    cube = SignedCube(6, 3)
    assert {claim.verdict for claim in law_claims(trained_laws(0, cube), cube, "descent")} == {"holds"}


@pytest.mark.slow
def test_from_the_command_line(tmp_path, capsys):
    assert main(["study", "inductive-bias", "--out", str(tmp_path)]) == 0
    assert "misprint" in capsys.readouterr().out
    assert len(json.loads((tmp_path / "claims.json").read_text())) > 40
    for name in ("errors", "bounds", "phi"):
        assert_shows_something(tmp_path / f"{name}.png")
    assert jax.config.jax_enable_x64 is False
