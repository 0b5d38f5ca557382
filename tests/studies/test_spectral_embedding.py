"""The study runs, says what holds and what does not, and its probes measure what they should."""

import json

import numpy as np
import pytest

from dynamics.cli.main import main
from dynamics.optima import kernel_space, vicreg_squared_optimum
from dynamics.studies import load_study
from dynamics.studies.spectral_embedding.relation_probe import Probes, _relation, half_width


@pytest.fixture(scope="module")
def claims(tmp_path_factory):
    out = tmp_path_factory.mktemp("study")
    claims = load_study("spectral-embedding").run(out, num_images=60, num_seeds=2)
    for name in ("twins", "flows", "downstream_digits"):
        for suffix in ("png", "pdf"):
            assert (out / f"{name}.{suffix}").stat().st_size > 5000
    return claims


def verdicts(claims, words):
    found = [claim.verdict for claim in claims if words in claim.claim]
    assert found, words
    return set(found)


@pytest.mark.parametrize(
    "words",
    [
        "VICReg, equal degrees",
        "without division by the degree",
        "LinearDiscriminantAnalysis",
        "Isomap",
        "KernelPCA",
        "CCA",
        "the kernel flow ends at the eigenvalues",
        "and in its subspace",
        "numerical minimum",
        ": rank",
        "random binary tasks",
        "not the optimum",
        "grows as Barlow Twins",
        "arXiv (b)",
    ],
)
def test_claims_that_hold(claims, words):
    assert verdicts(claims, words) == {"holds"}


def test_claims_that_do_not_hold_are_reported(claims):
    """The slogan about scikit-learn's embedding, and Barlow Twins for misaligned relations."""
    assert verdicts(claims, "which divides by the degree") == {"fails"}
    assert verdicts(claims, "Barlow Twins against SimCLR") == {"fails"}


def test_versions_of_the_recommendations_are_named(claims):
    sources = {claim.source for claim in claims if "recommendation" in claim.source}
    assert {"arXiv version" in s for s in sources} == {"NeurIPS version" in s for s in sources} == {True, False}


def test_misaligned_partners_have_equal_brightness(rng):
    pixels = rng.uniform(size=(50, 4))
    G = _relation("misaligned", pixels, np.zeros(50, int)).dense()
    order = pixels.mean(axis=1).argsort()
    blocks = np.kron(np.eye(10), np.ones((5, 5))) - np.eye(50)
    np.testing.assert_allclose(G[np.ix_(order, order)], blocks / 5)


def test_advantage_is_the_paired_difference_of_the_best():
    test = {
        ("linear", "aligned", "low", name): np.array(accuracies)
        for name, accuracies in {"a": [0.5, 0.7, 0.6], "b": [0.4, 0.65, 0.45], "c": [0.1, 0.1, 0.1]}.items()
    }
    names, mean, low = Probes(test, {}, {"low": 9}, "digits").advantage("linear", "aligned", "low", ("a",), ("c", "b"))
    difference = np.array([0.1, 0.05, 0.15])
    assert names == "a against b" and mean == pytest.approx(0.1)
    assert low == pytest.approx(0.1 - 4.302653 * difference.std(ddof=1) / np.sqrt(3), rel=1e-5)
    assert half_width(difference) == pytest.approx(mean - low)


def test_high_weight_leaves_the_classes_alone(rng):
    """Above 1/λ_max only what separates the partners' classes remains: nine of ten directions."""
    x = rng.normal(size=(60, 3))
    K = np.exp(-((x[:, None] - x) ** 2).sum(axis=-1) / 2) + 1e-3 * np.eye(60)
    G = _relation("aligned", x, np.arange(60) % 10).dense()
    assert vicreg_squared_optimum(kernel_space(K), G, 32, 1.5).rank == 9
    assert vicreg_squared_optimum(kernel_space(K), G, 32, 0.5).rank == 32


@pytest.mark.slow
def test_from_the_command_line(tmp_path, capsys):
    assert main(["study", "spectral-embedding", "--out", str(tmp_path)]) == 0
    assert "recommendation" in capsys.readouterr().out
    assert len(json.loads((tmp_path / "claims.json").read_text())) > 30
