"""Closed-form optima against L-BFGS on the same loss, the classical methods of scikit-learn, and exact statements."""

from functools import partial

import numpy as np
import pytest
import scipy.linalg
from minimising import minimised, sine, value
from sklearn.cross_decomposition import CCA
from sklearn.decomposition import KernelPCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.manifold import Isomap, SpectralEmbedding
from theory_references import features_with_spectrum, swap_matrix

from dynamics.errors import CollapseError, KernelError
from dynamics.objectives import (
    barlow_twins,
    barlow_twins_normalised,
    simclr_squared,
    vicreg,
    vicreg_squared,
)
from dynamics.optima import (
    barlow_twins_normalised_optimum,
    barlow_twins_optimum,
    canonical_directions,
    free_space,
    kernel_space,
    linear_space,
    simclr_squared_optimum,
    vicreg_squared_optimum,
)
from dynamics.optima.barlow_twins import equalising_rotation
from dynamics.views.relation import Relation

N = 14


@pytest.fixture
def x(rng):
    return rng.normal(size=(N, 5)) * [2.0, 1.5, 1.0, 0.8, 0.5] + 0.3


@pytest.fixture
def graph(rng):
    """Random weights, all degrees and eigenvalues different."""
    G = np.triu(rng.uniform(size=(N, N)) * (rng.uniform(size=(N, N)) < 0.5), 1)
    return G + G.T


def space_of(regime, x):
    if regime == "nonparametric":
        return free_space(len(x))
    if regime == "linear":
        return linear_space(x)
    squared = np.sum((x[:, None] - x) ** 2, axis=-1)
    return kernel_space(np.exp(-squared / 20))


REGIMES = pytest.mark.parametrize("regime", ["nonparametric", "linear", "kernel"])

# ---------------------------------------------------------------- against direct minimisation


@REGIMES
@pytest.mark.parametrize("weight", [0.15])
def test_vicreg_is_the_minimum(rng, x, graph, regime, weight):
    space, loss = space_of(regime, x), partial(vicreg_squared, weight=weight, graph=graph)
    optimum = vicreg_squared_optimum(space, graph, 3, weight)
    found, Z = minimised(loss, space.features, 3, rng)
    assert value(loss, optimum.embeddings) == pytest.approx(optimum.loss, rel=1e-9)
    assert found == pytest.approx(optimum.loss, rel=1e-6)
    assert sine(Z, optimum.embeddings) < 1e-3
    np.testing.assert_allclose(
        np.cov(Z.T, bias=True).trace(), np.cov(optimum.embeddings.T, bias=True).trace(), rtol=1e-4
    )


@REGIMES
def test_simclr_is_the_minimum(rng, x, graph, regime):
    space, loss = space_of(regime, x), partial(simclr_squared, graph=graph)
    optimum = simclr_squared_optimum(space, graph, 2)
    found, Z = minimised(loss, space.features, 2, rng)
    assert value(loss, optimum.embeddings) == pytest.approx(optimum.loss, rel=1e-9)
    assert found == pytest.approx(optimum.loss, rel=1e-8)
    np.testing.assert_allclose(Z @ Z.T, optimum.embeddings @ optimum.embeddings.T, atol=1e-3)


@REGIMES
def test_barlow_twins_is_the_minimum_of_least_norm(rng, x, graph, regime):
    """A small penalty on the norm picks it among all zero-loss solutions."""
    space = space_of(regime, x)
    optimum = barlow_twins_optimum(space, graph, 2)
    assert value(barlow_twins, optimum.embeddings, graph=graph) == pytest.approx(optimum.loss, abs=1e-12)
    assert np.sum(optimum.weights**2) == pytest.approx(np.sum(1 / optimum.spectrum), rel=1e-9)
    for _ in range(3):  # any other zero-loss solution costs more
        W = optimum.weights + 0.1 * np.abs(optimum.weights).mean() * rng.normal(size=optimum.weights.shape)
        C = (space.features @ W).T @ graph @ (space.features @ W) / graph.sum()
        W = W @ np.linalg.inv(np.linalg.cholesky(C)).T
        assert value(barlow_twins, space.features @ W, graph=graph) < 1e-12
        assert np.sum(W**2) > np.sum(optimum.weights**2)


def test_barlow_twins_of_pairs_ends_where_the_kernel_theory_says(rng):
    from dynamics.modes import contrastive_modes

    Phi = features_with_spectrum([1.0, 0.6, 0.3, -0.2], 6, rng)
    modes = contrastive_modes(Phi @ Phi.T)
    optimum = barlow_twins_optimum(kernel_space(Phi @ Phi.T), swap_matrix(6), 2)
    expected = modes.on_views @ modes.minimum_norm(2)
    np.testing.assert_allclose(np.abs(optimum.embeddings), np.abs(expected), atol=1e-9)
    collapsed = barlow_twins_optimum(kernel_space(Phi @ Phi.T), swap_matrix(6), 5)
    assert collapsed.rank == 3 and collapsed.loss == 2
    assert value(barlow_twins, collapsed.embeddings) == pytest.approx(2, abs=1e-9)


# ---------------------------------------------------------------- Barlow Twins, normalised


@pytest.fixture
def correlated(rng):
    """Pairs with canonical correlations .95, .85, .75 and .3."""
    n, rho = 40, np.array([0.95, 0.85, 0.75, 0.3])
    basis = np.linalg.qr(np.c_[np.ones(n), rng.normal(size=(n, 8))])[0][:, 1:] * np.sqrt(n)
    even, odd = basis[:, :4] * np.sqrt((1 + rho) / 2), basis[:, 4:] * np.sqrt((1 - rho) / 2)
    return np.concatenate([even + odd, even - odd]) @ rng.normal(size=(4, 4)), rho


def test_normalised_barlow_twins_is_the_limit_of_a_heavy_off_diagonal(rng, correlated):
    """Span of the top canonical directions, loss K(1 − h)², below the Σ(1 − ρ)² of the canonical basis."""
    x, rho = correlated
    J, space = swap_matrix(40), linear_space(x)
    optimum = barlow_twins_normalised_optimum(space, J, 3)
    np.testing.assert_allclose(optimum.spectrum, rho[:3], rtol=1e-9)
    for off_diagonal in (0.0051, 1.0, 1e3):
        loss = partial(barlow_twins_normalised, epsilon=0.0, graph=J, off_diagonal=off_diagonal)
        assert value(loss, optimum.embeddings) == pytest.approx(optimum.loss, rel=1e-9)
    found, Z = minimised(loss, space.features, 3, rng, starts=3)
    assert found == pytest.approx(optimum.loss, rel=1e-3)
    assert sine(Z, optimum.embeddings) < 1e-2
    assert optimum.loss < np.sum((1 - rho[:3]) ** 2) - 1e-3


def test_span_of_canonical_correlation_analysis_but_not_its_basis_at_equal_weights(rng):
    """Two correlations .95 and .70, λ = 1: .0925 in the canonical basis, .0735 at the optimum, same span."""
    n, rho = 30, np.array([0.95, 0.70])
    basis = np.linalg.qr(np.c_[np.ones(n), rng.normal(size=(n, 4))])[0][:, 1:] * np.sqrt(n)
    even, odd = basis[:, :2] * np.sqrt((1 + rho) / 2), basis[:, 2:] * np.sqrt((1 - rho) / 2)
    x, J = np.concatenate([even + odd, even - odd]), swap_matrix(n)
    loss = partial(barlow_twins_normalised, epsilon=0.0, off_diagonal=1.0, graph=J)
    canonical, closed = value(loss, x), barlow_twins_normalised_optimum(linear_space(x), J, 2).loss
    found, Z = minimised(loss, x, 2, rng)
    assert canonical == pytest.approx(0.0925, abs=1e-9)
    assert closed == pytest.approx(2 * (1 - 2 / (1 / 0.95 + 1 / 0.70)) ** 2, rel=1e-9)
    assert found < closed + 1e-9 and closed < canonical - 0.01
    # two unit columns at ±θ from the first direction, a = ρ₁cos²θ, b = ρ₂sin²θ: 2(1 − a − b)² + 2(a − b)²
    p = ((1 - rho[1]) * (rho[0] - rho[1]) + rho[1] * rho.sum()) / (2 * np.sum(rho**2))
    a, b = p * rho[0], (1 - p) * rho[1]
    assert found == pytest.approx(2 * (1 - a - b) ** 2 + 2 * (a - b) ** 2, rel=1e-6) == pytest.approx(0.0735, abs=5e-5)
    assert sine(Z, x) < 1e-9


def test_directions_of_small_correlation_are_better_left_alone(rng, correlated):
    """With .3 among the correlations, equal columns would be worse than the canonical basis."""
    x, rho = correlated
    optimum = barlow_twins_normalised_optimum(linear_space(x), swap_matrix(40), 4)
    shared = 3 * (1 - 3 / np.sum(1 / rho[:3])) ** 2
    assert optimum.loss == pytest.approx(shared + 0.7**2, rel=1e-9)
    assert optimum.loss < 4 * (1 - 4 / np.sum(1 / rho)) ** 2
    loss = partial(barlow_twins_normalised, epsilon=0.0, graph=swap_matrix(40), off_diagonal=1e3)
    assert value(loss, optimum.embeddings) == pytest.approx(optimum.loss, rel=1e-9)
    assert minimised(loss, x, 4, rng, starts=3)[0] == pytest.approx(optimum.loss, rel=1e-2)


def test_canonical_correlations_are_those_of_scikit_learn(rng, correlated):
    """Both orders of every pair make the two sides' directions equal, which is what one shared map can learn."""
    x = correlated[0]
    optimum = barlow_twins_normalised_optimum(linear_space(x), swap_matrix(40), 2)
    left, right = CCA(2, max_iter=5000, tol=1e-12).fit_transform(x, swap_matrix(40) @ x)
    assert sine(left, optimum.embeddings) < 1e-5
    correlations = [np.corrcoef(left[:, k], right[:, k])[0, 1] for k in range(2)]
    np.testing.assert_allclose(correlations, optimum.spectrum, rtol=1e-6)


def test_normalised_outputs_cannot_collapse(correlated):
    x, _ = correlated
    with pytest.raises(CollapseError, match="only 0"):
        barlow_twins_normalised_optimum(linear_space(x), np.ones((80, 80)) - swap_matrix(40) - np.eye(80), 3)


def test_equalising_rotation(rng):
    for d in (1, 2, 5):
        M = np.diag(rng.uniform(1, 4, size=d))
        R = equalising_rotation(M)
        np.testing.assert_allclose(R.T @ R, np.eye(d), atol=1e-12)
        np.testing.assert_allclose(np.diag(R.T @ M @ R), np.trace(M) / d, rtol=1e-12)


# ---------------------------------------------------------------- classical twins


def sinkhorn(G):
    """The same graph with all degrees one."""
    for _ in range(2000):
        root = np.sqrt(G.sum(axis=1))
        G = G / root[:, None] / root
    return G


def test_vicreg_is_spectral_embedding_where_degrees_are_equal(rng):
    """scikit-learn normalises its Laplacian by the degree; VICReg does not, so they part where degrees differ."""
    uneven = rng.uniform(size=(N, N)) ** 4
    uneven = uneven + uneven.T - 2 * np.diag(np.diag(uneven))
    even = sinkhorn(uneven)
    for G, agree in ((even, True), (uneven, False)):
        twin = SpectralEmbedding(3, affinity="precomputed", eigen_solver="arpack", eigen_tol=1e-12).fit_transform(G)
        optimum = vicreg_squared_optimum(free_space(N), G, 3, 0.1 / G.sum(axis=1).max())
        assert (sine(twin, optimum.embeddings) < 1e-6) == agree
        if agree:  # column by column: eigenvectors in the same order
            unit = optimum.embeddings / np.linalg.norm(optimum.embeddings, axis=0)
            np.testing.assert_allclose(np.abs(np.sum(unit * twin, axis=0)) / np.linalg.norm(twin, axis=0), 1, atol=1e-8)


def test_linear_vicreg_of_labels_is_linear_discriminant_analysis(rng):
    labels = np.repeat([0, 1, 2], [8, 12, 10])
    x = rng.normal(size=(30, 5)) @ rng.normal(size=(5, 5)) + rng.normal(size=(3, 5))[labels]
    lda = LinearDiscriminantAnalysis(solver="eigen", n_components=2).fit(x, labels)
    per_class = vicreg_squared_optimum(linear_space(x), Relation.labels(labels, per_class=True).dense(), 2, 0.5)
    assert sine(lda.transform(x), per_class.embeddings) < 1e-8
    np.testing.assert_allclose(
        np.abs(np.corrcoef(lda.transform(x).T, per_class.embeddings.T)[:2, 2:]), np.eye(2), atol=1e-6
    )
    binary = vicreg_squared_optimum(linear_space(x), Relation.labels(labels).dense(), 2, 0.05)
    assert sine(lda.transform(x), binary.embeddings) > 1e-3  # classes of different size


def test_linear_vicreg_solves_the_generalised_problem_of_scipy(x, graph):
    L, H = np.diag(graph.sum(axis=1)) - graph, np.eye(N) - 1 / N
    values, vectors = scipy.linalg.eigh(x.T @ L @ x / N, x.T @ H @ x / N)
    optimum = vicreg_squared_optimum(linear_space(x), graph, 3, 0.1)
    np.testing.assert_allclose(optimum.spectrum, values[:3], rtol=1e-9)
    scaled = vectors[:, :3] * np.sqrt(np.maximum(1 - 0.1 * values[:3], 0))
    np.testing.assert_allclose(np.abs(optimum.embeddings), np.abs(x @ scaled), atol=1e-9)


def test_canonical_directions_solve_the_pencil_of_the_graph(x, graph):
    """(XᵀGX)w = ρ(XᵀD_GX)w on inputs centred by degree, degrees all different."""
    degree = graph.sum(axis=1)
    centred = x - degree @ x / degree.sum()
    values, vectors = scipy.linalg.eigh(centred.T @ graph @ centred, centred.T @ (degree[:, None] * centred))
    rho, W = canonical_directions(linear_space(x), graph)
    np.testing.assert_allclose(rho, values[::-1], atol=1e-10)
    ours = centred @ np.linalg.lstsq(x, linear_space(x).features @ W, rcond=None)[0]
    cosines = np.sum(ours * (centred @ vectors[:, ::-1]), axis=0)
    norms = np.linalg.norm(ours, axis=0) * np.linalg.norm(centred @ vectors[:, ::-1], axis=0)
    np.testing.assert_allclose(np.abs(cosines), norms, rtol=1e-8)


def test_a_kernel_of_full_rank_reaches_what_is_best_without_parameters(x, graph):
    """Its function K⁻¹Z* passes through the embedding that is optimal without parameters."""
    kernel, free = space_of("kernel", x), free_space(N)
    for optimise in (partial(vicreg_squared_optimum, weight=0.1), simclr_squared_optimum):
        reached, best = optimise(kernel, graph, 3), optimise(free, graph, 3)
        assert reached.loss == pytest.approx(best.loss, rel=1e-9)
        assert sine(reached.embeddings, best.embeddings, center="vicreg" in str(optimise)) < 1e-6


def test_simclr_is_classical_scaling_and_isomap(rng):
    x = rng.normal(size=(N, 4)) * [3.0, 2.0, 1.0, 0.3]
    squared = np.sum((x[:, None] - x) ** 2, axis=-1)
    H = np.eye(N) - 1 / N
    optimum = simclr_squared_optimum(free_space(N), -H @ squared @ H / 2, 2)
    twin = KernelPCA(2, kernel="precomputed").fit_transform(x @ x.T)
    np.testing.assert_allclose(np.abs(optimum.embeddings), np.abs(twin), atol=1e-9)
    isomap = Isomap(n_neighbors=4, n_components=2)
    twin = isomap.fit_transform(x)
    optimum = simclr_squared_optimum(free_space(N), -H @ isomap.dist_matrix_**2 @ H / 2, 2)
    np.testing.assert_allclose(np.abs(optimum.embeddings), np.abs(twin), atol=1e-8)


# ---------------------------------------------------------------- two views, ranks, new points


def test_optimal_variances_of_quadratic_vicreg_are_cut_correlations(correlated):
    """[1 − λ(1 − ρ)]₊ along the canonical directions."""
    x, rho = correlated
    for weight in (0.5, 1.0, 3.0):
        optimum = vicreg_squared_optimum(linear_space(x), swap_matrix(40), 4, weight, center=False)
        variances = np.linalg.eigvalsh(optimum.embeddings.T @ optimum.embeddings / 80)[::-1]
        np.testing.assert_allclose(variances, np.maximum(0, 1 - weight * (1 - rho)), atol=1e-9)


def test_two_view_graph_leaves_the_choice_to_the_kernel(rng):
    """All n − 1 functions with equal values on partners are optimal; of those, the two of least norm are taken."""
    n = 6
    x = rng.normal(size=(2 * n, 3))
    K = np.exp(-np.sum((x[:, None] - x) ** 2, axis=-1) / 4)
    optimum = vicreg_squared_optimum(kernel_space(K), swap_matrix(n), 2, 0.3)
    np.testing.assert_allclose(optimum.spectrum, 0, atol=1e-10)
    norm = np.sum(optimum.weights**2)
    basis = np.concatenate([np.eye(n)] * 2)  # equal on partners; a free constant may be added to each
    inverse = np.linalg.inv(K)
    ones = np.ones((2 * n, 1))
    inverse = inverse - inverse @ ones @ ones.T @ inverse / (ones.T @ inverse @ ones)
    values = scipy.linalg.eigh(basis.T @ inverse @ basis, 2 * np.eye(n), eigvals_only=True)
    assert norm == pytest.approx(2 * n * values[1:3].sum(), rel=1e-6)


@pytest.mark.parametrize("weight", [0.02, 0.1, 0.35, 2.0])
def test_rank_of_vicreg_is_the_number_of_eigenvalues_below_the_inverse_weight(rng, graph, weight):
    below = (np.linalg.eigvalsh(np.diag(graph.sum(axis=1)) - graph)[1:] < 1 / weight).sum()
    optimum = vicreg_squared_optimum(free_space(N), graph, N - 1, weight)
    assert optimum.rank == below == np.linalg.matrix_rank(optimum.embeddings, tol=1e-9)
    found, Z = minimised(partial(vicreg_squared, weight=weight, graph=graph), np.eye(N), N - 1, rng, starts=1)
    assert found == pytest.approx(optimum.loss, rel=1e-7, abs=1e-9)
    # a direction that has just left is squeezed out slowly: variances below 1e-4 count as gone
    assert (np.linalg.eigvalsh(np.cov(Z.T, bias=True)) > 1e-4).sum() == below


def test_rank_of_simclr_is_at_most_the_number_of_positive_eigenvalues(graph):
    positive = (np.linalg.eigvalsh(graph) > 0).sum()
    optimum = simclr_squared_optimum(free_space(N), graph, N)
    assert optimum.rank == positive == np.linalg.matrix_rank(optimum.embeddings, tol=1e-9)


def test_classes_of_ten_as_in_the_checked_case():
    """Thirty views, three classes: full rank 29 at γ = .02, two dimensions at γ = .2, three for SimCLR."""
    G = Relation.labels(np.repeat(range(3), 10)).dense()
    ranks = [vicreg_squared_optimum(free_space(30), G, 29, weight).rank for weight in (0.02, 0.2)]
    assert [*ranks, simclr_squared_optimum(free_space(30), G, 29).rank] == [29, 2, 3]


def test_the_hinge_does_not_have_the_optimum_of_the_squares(rng, graph):
    """At α = β = 1 the hinge has the variances (α/4γλ)² where squares have 1 − γλ/α."""
    weight = 0.3 / np.linalg.eigvalsh(np.diag(graph.sum(axis=1)) - graph)[1]
    optimum = vicreg_squared_optimum(free_space(N), graph, 2, weight)
    variances = 1 - weight * optimum.spectrum
    settings = {"variance_weight": 1.0, "covariance_weight": 1.0, "invariance_weight": weight, "epsilon": 0.0}
    hinge = partial(vicreg, graph=graph, **settings)
    at_optimum = value(hinge, optimum.embeddings)
    assert at_optimum == pytest.approx(
        np.sum(1 - np.sqrt(variances)) + 2 * weight * np.sum(optimum.spectrum * variances), rel=1e-9
    )
    found, Z = minimised(hinge, np.eye(N), 2, rng, starts=1)
    assert found < at_optimum - 1e-3
    # in its own basis √s = min(1, α/4γλ)
    roots = np.minimum(1, 1 / (4 * weight * optimum.spectrum))
    expected = np.sum(1 - roots) + 2 * weight * np.sum(optimum.spectrum * roots**2)
    assert found <= expected + 1e-6
    np.testing.assert_allclose(np.cov(Z.T, bias=True).trace(), np.sum(roots**2), rtol=1e-2)


@pytest.mark.parametrize("regime", ["linear", "kernel"])
def test_new_points_are_embedded_by_the_learned_map(rng, x, graph, regime):
    """Training views as new points come out the same; the linear map is linear and the kernel map K⁻¹Z*."""
    space, new = space_of(regime, x), rng.normal(size=(3, 5))

    def kernel(a):
        return np.exp(-np.sum((a[:, None] - x) ** 2, axis=-1) / 20)

    for optimum in (
        vicreg_squared_optimum(space, graph, 2, 0.1),
        simclr_squared_optimum(space, graph, 2),
        barlow_twins_optimum(space, graph, 2),
        barlow_twins_normalised_optimum(space, graph, 1),
    ):
        if regime == "linear":
            np.testing.assert_allclose(optimum.embed(x), optimum.embeddings, atol=1e-9)
            expected = new @ np.linalg.lstsq(x, optimum.embeddings, rcond=None)[0]
            np.testing.assert_allclose(optimum.embed(new), expected, atol=1e-9)
        else:
            scale = np.abs(optimum.embeddings).max()
            np.testing.assert_allclose(optimum.embed(kernel(x)), optimum.embeddings, atol=1e-6 * scale)
            expected = kernel(new) @ np.linalg.solve(kernel(x), optimum.embeddings)
            np.testing.assert_allclose(optimum.embed(kernel(new)), expected, atol=1e-5 * scale)


def test_without_parameters_there_are_no_new_points(graph):
    with pytest.raises(ValueError, match="new points"):
        simclr_squared_optimum(free_space(N), graph, 2).embed(np.eye(N))


def test_inputs_that_depend_on_each_other(rng, x, graph):
    doubled = vicreg_squared_optimum(linear_space(np.hstack([x, x @ rng.normal(size=(5, 4))])), graph, 3, 0.1)
    np.testing.assert_allclose(doubled.spectrum, vicreg_squared_optimum(linear_space(x), graph, 3, 0.1).spectrum)
    with pytest.raises(KernelError, match="zero"):
        linear_space(np.zeros((4, 2)))


def test_twins_are_named():
    G = Relation.pairs(3).dense()
    assert vicreg_squared_optimum(free_space(6), G, 1).twin == "Laplacian eigenmaps"
    assert simclr_squared_optimum(free_space(6), G, 1).twin == "classical multidimensional scaling"
