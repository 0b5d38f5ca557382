"""Contrastive modes against the paper's dense formula, scikit-learn and matrices of prescribed spectrum."""

import inspect

import numpy as np
import pytest
import scipy.linalg
from sklearn.decomposition import KernelPCA, TruncatedSVD
from theory_references import features_with_spectrum, random_gram, random_rotation, swap_matrix

from dynamics.errors import CollapseError, DataError, KernelError
from dynamics.modes import ContrastiveModes, contrastive_modes, contrastive_modes_from_features, swap


def assert_same_up_to_sign(actual, expected, atol):
    signs = np.sign((actual * expected).sum(axis=0))
    np.testing.assert_allclose(actual * signs, expected, atol=atol, rtol=0)


def centring(size):
    return np.eye(size) - 1 / size


# ---------------------------------------------------------------- the eigenproblem


def test_spectrum_is_that_of_the_papers_matrix_square_root(rng):
    n = 12
    K = random_gram(n, rng)
    root = scipy.linalg.sqrtm(K).real
    expected = scipy.linalg.eigvalsh(root @ swap_matrix(n) @ root / (2 * n))[::-1]
    gamma = contrastive_modes(K).eigenvalues
    np.testing.assert_allclose(gamma, expected, rtol=0, atol=1e-10 * expected[0])
    np.testing.assert_allclose(gamma[:6], expected[:6], rtol=1e-10)


def test_mode_functions_are_those_of_the_papers_matrix_square_root(rng):
    n = 8
    K = random_gram(n, rng)
    root = scipy.linalg.sqrtm(K).real
    _, W = scipy.linalg.eigh(root @ swap_matrix(n) @ root / (2 * n))
    assert_same_up_to_sign(contrastive_modes(K).on_views[:, :4], (root @ W)[:, ::-1][:, :4], atol=1e-8)


@pytest.mark.parametrize("center", [False, True])
def test_eigen_equation_and_normalisation(rng, center):
    n = 10
    K = random_gram(n, rng) + 3.0
    modes = contrastive_modes(K, center=center)
    H = centring(2 * n) if center else np.eye(2 * n)
    K = H @ K @ H
    J = swap_matrix(n)
    np.testing.assert_allclose(modes.duals.T @ K @ modes.duals, np.eye(len(modes)), atol=1e-9)
    np.testing.assert_allclose(modes.on_views, K @ modes.duals, atol=1e-10)
    # (1/2n) J K̃ v = γ v in the span of K̃, so compare after K̃ is applied
    np.testing.assert_allclose(K @ J @ modes.on_views / (2 * n), modes.on_views * modes.eigenvalues, atol=1e-10)
    assert len(modes) == 2 * n - center


def test_prescribed_spectrum_and_functions_are_recovered(rng):
    gamma = np.array([2.0, 0.7, 0.1, 1e-3, -0.2, -0.9])
    Phi = features_with_spectrum(gamma, 15, rng)
    modes = contrastive_modes(Phi @ Phi.T)
    np.testing.assert_allclose(modes.eigenvalues, gamma, rtol=1e-10, atol=1e-14)
    assert_same_up_to_sign(modes.on_views, Phi, atol=1e-8)
    assert (modes.num_positive, modes.num_pairs, len(modes)) == (4, 15, 6)
    assert modes.stability_limit == pytest.approx(1 / 8)


def test_signed_sorting_puts_a_large_negative_mode_last(rng):
    Phi = features_with_spectrum([-5.0, 0.3, 1.0], 6, rng)
    np.testing.assert_allclose(contrastive_modes(Phi @ Phi.T).eigenvalues, [1.0, 0.3, -5.0], rtol=1e-10)


@pytest.mark.parametrize("n", [1, 4, 11])
def test_full_rank_means_n_positive_and_n_negative_modes(rng, n):
    modes = contrastive_modes(random_gram(n, rng))
    assert (modes.eigenvalues > 0).sum() == (modes.eigenvalues < 0).sum() == modes.num_positive == n


def test_degenerate_block_gives_the_right_subspaces(rng):
    gamma = np.array([0.8, 0.8, 0.8, 0.2, 0.2])
    Phi = features_with_spectrum(gamma, 9, rng)
    modes = contrastive_modes(Phi @ Phi.T)
    np.testing.assert_allclose(modes.eigenvalues, gamma, rtol=1e-10)
    for block in (slice(0, 3), slice(3, 5)):
        expected = Phi[:, block] @ Phi[:, block].T
        np.testing.assert_allclose(modes.on_views[:, block] @ modes.on_views[:, block].T, expected, atol=1e-9)


@pytest.mark.parametrize("center", [False, True])
def test_truncation_equals_the_full_solution(rng, center):
    K = random_gram(10, rng)
    full, some = contrastive_modes(K, center=center), contrastive_modes(K, num_modes=4, center=center)
    assert len(some) == 4
    for name in ("eigenvalues", "duals", "on_views", "offset"):
        np.testing.assert_allclose(getattr(some, name), getattr(full, name)[..., :4], atol=1e-9, err_msg=name)
    assert len(contrastive_modes(K, num_modes=1000, center=center)) == 20 - center


# ---------------------------------------------------------------- primal and dual


@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize("num_features", [5, 19, 40])
def test_primal_equals_dual(rng, num_features, center):
    psi = rng.normal(size=(20, num_features)) + 1.5
    dual = contrastive_modes(psi @ psi.T, center=center)
    primal = contrastive_modes_from_features(psi, center=center)
    assert len(primal) == len(dual) == min(num_features, 20 - center)
    np.testing.assert_allclose(primal.eigenvalues, dual.eigenvalues, atol=1e-9)
    np.testing.assert_allclose(primal.on_views, dual.on_views, atol=1e-7)  # signs are fixed by a rule
    new = rng.normal(size=(3, num_features)) @ psi.T
    np.testing.assert_allclose(primal.functions(new), dual.functions(new), atol=1e-7)


@pytest.mark.parametrize("center", [False, True])
def test_functions_on_new_points_are_projections_of_their_features(rng, center):
    """The linear kernel's modes are directions w of Γ = (1/2n) Σ (x xᵀ' + x' xᵀ), and φ(x) = (x − mean)·w."""
    n, p = 30, 7
    x = rng.normal(size=(n, p)) @ np.diag(np.linspace(1, 2, p)) + 2.0
    x_prime = x + 0.3 * rng.normal(size=(n, p))
    views = np.concatenate([x, x_prime])
    mean = views.mean(axis=0) if center else np.zeros(p)
    Gamma = ((x - mean).T @ (x_prime - mean) + (x_prime - mean).T @ (x - mean)) / (2 * n)
    gamma, W = np.linalg.eigh(Gamma)
    new = rng.normal(size=(11, p))
    modes = contrastive_modes(views @ views.T, center=center)
    np.testing.assert_allclose(modes.eigenvalues, gamma[::-1], rtol=1e-9)
    assert_same_up_to_sign(modes.functions(new @ views.T), ((new - mean) @ W)[:, ::-1], atol=1e-8)
    np.testing.assert_allclose(modes.functions(views @ views.T), modes.on_views, atol=1e-8)


def test_coordinates_rebuild_a_function_of_the_kernel(rng):
    K = random_gram(6, rng)
    modes = contrastive_modes(K)
    F = K @ rng.normal(size=(12, 3))
    np.testing.assert_allclose(modes.on_views @ modes.coordinates(F), F, atol=1e-8)


# ---------------------------------------------------------------- scikit-learn


def test_identical_views_are_kernel_pca(rng):
    x, new = rng.normal(size=(15, 4)), rng.normal(size=(5, 4))

    def kernel(a, b):
        return np.exp(-((a[:, None] - b[None]) ** 2).sum(-1) / 8)

    reference = KernelPCA(n_components=6, kernel="precomputed").fit(kernel(x, x))
    views = np.concatenate([x, x])
    modes = contrastive_modes(kernel(views, views), center=True, num_modes=6)
    np.testing.assert_allclose(modes.eigenvalues, reference.eigenvalues_ / 15, rtol=1e-9)
    assert_same_up_to_sign(modes.functions(kernel(new, views)), reference.transform(kernel(new, x)), atol=1e-8)


def test_identical_views_uncentred_are_the_singular_directions(rng):
    """Principal components without centring; scikit-learn calls them TruncatedSVD."""
    x, new = rng.normal(size=(25, 8)) + 1.0, rng.normal(size=(5, 8))
    reference = TruncatedSVD(n_components=5, algorithm="arpack", random_state=0).fit(x)
    views = np.concatenate([x, x])
    modes = contrastive_modes(views @ views.T, num_modes=5)
    np.testing.assert_allclose(modes.eigenvalues, reference.singular_values_**2 / 25, rtol=1e-9)
    assert_same_up_to_sign(modes.functions(new @ views.T), reference.transform(new), atol=1e-8)


def test_identical_views_have_no_negative_modes(rng):
    x = rng.normal(size=(9, 20))
    views = np.concatenate([x, x])
    modes = contrastive_modes(views @ views.T)
    assert len(modes) == modes.num_positive == 9


# ---------------------------------------------------------------- symmetries


def test_order_of_the_pairs_does_not_matter(rng):
    n = 7
    K, order = random_gram(n, rng), rng.permutation(n)
    both = np.concatenate([order, order + n])
    modes, permuted = contrastive_modes(K), contrastive_modes(K[np.ix_(both, both)])
    np.testing.assert_allclose(permuted.eigenvalues, modes.eigenvalues, atol=1e-12)
    assert_same_up_to_sign(permuted.on_views, modes.on_views[both], atol=1e-8)


def test_partners_may_change_places(rng):
    n = 7
    K, J = random_gram(n, rng), swap_matrix(n)
    modes, swapped = contrastive_modes(K), contrastive_modes(J @ K @ J)
    np.testing.assert_allclose(swapped.eigenvalues, modes.eigenvalues, atol=1e-12)
    assert_same_up_to_sign(swapped.on_views, J @ modes.on_views, atol=1e-8)


def test_scale_of_the_kernel_scales_the_eigenvalues(rng):
    K = random_gram(7, rng)
    for c in (1e-12, 1e9):
        modes, scaled = contrastive_modes(K), contrastive_modes(c * K)
        np.testing.assert_allclose(scaled.eigenvalues, c * modes.eigenvalues, rtol=1e-8)
        np.testing.assert_allclose(scaled.on_views, np.sqrt(c) * modes.on_views, atol=1e-8 * np.sqrt(c))
        assert scaled.num_positive == modes.num_positive


def test_a_rotation_of_the_features_changes_nothing(rng):
    psi = rng.normal(size=(16, 5))
    modes = contrastive_modes_from_features(psi)
    rotated = contrastive_modes_from_features(psi @ random_rotation(5, rng))
    np.testing.assert_allclose(rotated.on_views, modes.on_views, atol=1e-9)


def test_swap_is_the_permutation_matrix(rng):
    rows = rng.normal(size=(8, 3))
    np.testing.assert_array_equal(swap(rows), swap_matrix(4) @ rows)


# ---------------------------------------------------------------- rank and rounding


def test_few_features_give_few_modes(rng):
    psi = rng.normal(size=(40, 6))
    modes = contrastive_modes(psi @ psi.T)
    assert len(modes) == 6
    np.testing.assert_allclose(modes.duals.T @ (psi @ psi.T) @ modes.duals, np.eye(6), atol=1e-9)


def test_duplicate_views_cost_rank_but_no_accuracy(rng):
    """Each pair twice: the same modes, and the mode functions repeat."""
    x, x_prime = rng.normal(size=(2, 6, 30))
    once = np.concatenate([x, x_prime])
    twice = np.concatenate([x, x, x_prime, x_prime])
    single, double = contrastive_modes(once @ once.T), contrastive_modes(twice @ twice.T)
    assert len(double) == 12
    np.testing.assert_allclose(double.eigenvalues, single.eigenvalues, atol=1e-9)


def test_a_rank_deficient_kernel_computed_in_float32_is_accepted(rng):
    """Its negative rounding errors are amplified by pivots of their own size unless the factorisation stops first."""
    psi = rng.normal(size=(200, 50)).astype(np.float32)
    expected = contrastive_modes_from_features(psi)
    for K in (psi @ psi.T, (psi @ psi.T).astype(np.float64)):
        modes = contrastive_modes(K)
        assert len(modes) == 50
        np.testing.assert_allclose(modes.eigenvalues, expected.eigenvalues, atol=1e-5 * expected.eigenvalues[0])


def test_centring_removes_a_large_mean_in_float32(rng):
    psi = (rng.normal(size=(100, 30)) + 10).astype(np.float32)
    expected = contrastive_modes_from_features(psi, center=True)
    modes = contrastive_modes(psi @ psi.T, center=True)
    np.testing.assert_allclose(modes.eigenvalues[:10], expected.eigenvalues[:10], rtol=1e-3)


def test_num_positive_does_not_count_rounding(rng):
    """Independent partners with one shared feature: Γ has a null space that rounding makes ±1e-17."""
    Phi = np.concatenate([np.eye(6), np.zeros((6, 6))])
    Phi[6:, 0] = 1.0
    assert contrastive_modes(Phi @ Phi.T).num_positive < 6


# ---------------------------------------------------------------- end point


def test_minimum_norm_truncates_at_the_positive_modes(rng):
    Phi = features_with_spectrum([1.0, 0.25, -0.3], 5, rng)
    modes = contrastive_modes(Phi @ Phi.T)
    a = modes.minimum_norm(4)
    np.testing.assert_allclose(a, np.diag([1.0, 2.0, 0.0])[:, [0, 1, 2, 2]], atol=1e-9)
    modes.require_learnable(2)
    with pytest.raises(CollapseError, match=r"dim is 3.*2 positive modes"):
        modes.require_learnable(3)


# ---------------------------------------------------------------- errors and files

BAD_GRAMS = {
    "not square": (np.ones((4, 6)), "shape"),
    "odd": (np.eye(5), "shape"),
    "empty": (np.zeros((0, 0)), "shape"),
    "NaN": (np.diag([1.0, np.nan, 1.0, 1.0]), "NaN"),
    "infinite": (np.diag([1.0, np.inf, 1.0, 1.0]), "NaN or infinite"),
    "asymmetric": (np.eye(4) + np.triu(np.full((4, 4), 0.1), 1), "not symmetric"),
    "indefinite": (np.diag([1.0, 1.0, 1.0, -0.01]), "positive semi-definite"),
    "negative": (-np.eye(4), "positive semi-definite"),
    "no kernel": (np.ones((4, 4)) - np.eye(4), "positive semi-definite"),
    "zero": (np.zeros((4, 4)), "zero"),
}


@pytest.mark.parametrize("name", BAD_GRAMS)
def test_what_is_no_gram_matrix_is_refused(name):
    K, message = BAD_GRAMS[name]
    with pytest.raises(KernelError, match=message):
        inspect.unwrap(contrastive_modes)(K)  # unwrapped: in the tests the shape annotation would speak first


@pytest.mark.parametrize("value", [1.0, 0.1])
def test_a_constant_kernel_has_nothing_left_when_centred(value):
    with pytest.raises(KernelError, match="same for all views"):
        contrastive_modes(np.full((8, 8), value), center=True)
    with pytest.raises(KernelError, match="same for all views"):
        contrastive_modes_from_features(np.full((8, 3), value), center=True)


@pytest.mark.parametrize("features", [np.ones((5, 2)), np.full((4, 2), np.nan), np.zeros((4, 2))])
def test_what_are_no_features_is_refused(features):
    with pytest.raises(KernelError):
        contrastive_modes_from_features(features)


def test_the_callers_gram_matrix_is_left_alone(rng):
    K = random_gram(4, rng)
    before = K.copy()
    contrastive_modes(K, center=True)
    np.testing.assert_array_equal(K, before)


def test_save_and_load(rng, tmp_path):
    modes = contrastive_modes(random_gram(4, rng), num_modes=3, center=True)
    modes.save(tmp_path / "modes.npz")
    loaded = ContrastiveModes.load(tmp_path / "modes.npz")
    for name in ("eigenvalues", "duals", "on_views", "offset"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(modes, name))
    with pytest.raises(DataError, match="no such file"):
        ContrastiveModes.load(tmp_path / "other.npz")


def test_scaled_modes_are_those_of_the_scaled_kernel(rng):
    views = rng.normal(size=(20, 9))
    K = views @ views.T
    for center in (False, True):
        direct, scaled = contrastive_modes(7.0 * K, center=center), contrastive_modes(K, center=center).scaled(7.0)
        for name in ("eigenvalues", "duals", "on_views", "offset"):
            np.testing.assert_allclose(getattr(scaled, name), getattr(direct, name), rtol=1e-6, atol=1e-9)
