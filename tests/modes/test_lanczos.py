"""Block Lanczos against the dense solver, prescribed spectra and scikit-learn."""

import inspect

import numpy as np
import pytest
from sklearn.decomposition import KernelPCA
from theory_references import features_with_spectrum, random_gram

from dynamics.errors import ConfigError, ConvergenceError, KernelError
from dynamics.modes import contrastive_modes
from dynamics.modes.gram_product import gram_product
from dynamics.modes.lanczos import leading_modes, mode_residuals

N = 160  # pairs: more views than the dense solver is left to


def decaying_gram(rng, n=N, power=1.0, mean=0.0):
    """Pairs in a feature space whose variances fall like a power law."""
    x = rng.normal(size=(n, 3 * n)) * np.arange(1, 3 * n + 1) ** (-power / 2)
    psi = np.concatenate([x, x + 0.4 * rng.normal(size=x.shape) * x.std(axis=0)]) + mean
    return psi @ psi.T


@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize("block", [1, 8])
def test_equals_the_dense_solver(rng, center, block):
    K = decaying_gram(rng, mean=0.3)
    dense = contrastive_modes(K, num_modes=20, center=center)
    modes = leading_modes(K, 20, center=center, block=block)
    np.testing.assert_allclose(modes.eigenvalues, dense.eigenvalues, rtol=1e-11)
    np.testing.assert_allclose(modes.on_views, dense.on_views, atol=1e-7)
    np.testing.assert_allclose(modes.offset, dense.offset, atol=1e-8)
    # the duals as functions: on new points, where their parts in the null space of K̃ cannot be seen
    rows = rng.normal(size=(5, 2 * N)) @ K
    np.testing.assert_allclose(modes.functions(rows), dense.functions(rows), atol=1e-5)
    assert (mode_residuals(K, modes, center=center) <= 1e-10 * modes.eigenvalues).all()


@pytest.mark.parametrize("center", [False, True])
def test_modes_are_normalised_and_solve_the_equation(rng, center):
    K = decaying_gram(rng)
    modes = leading_modes(K, 12, center=center)
    H = np.eye(2 * N) - (1 / (2 * N) if center else 0)
    np.testing.assert_allclose(modes.duals.T @ H @ K @ H @ modes.duals, np.eye(12), atol=1e-11)
    np.testing.assert_allclose(modes.on_views, H @ K @ H @ modes.duals, atol=1e-9)


def test_prescribed_spectrum_with_a_large_negative_mode(rng):
    gamma = np.concatenate([[3.0, 1.0], 0.5 ** np.arange(2, 30), [-1e-3, -0.7, -5.0]])
    Phi = features_with_spectrum(gamma, N, rng)
    modes = leading_modes(Phi @ Phi.T, 15)
    # the matrix itself is known to 1e-16 of its largest entries only
    np.testing.assert_allclose(modes.eigenvalues, gamma[:15], rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("block", [2, 4])
def test_degenerate_eigenvalues_are_all_found(rng, block):
    """Six copies are more than a Krylov space of `block` columns can hold."""
    gamma = np.array([2.0, *[1.0] * 6, 0.9, 0.5, *[0.4] * 5, 0.1, -0.3])
    Phi = features_with_spectrum(gamma, N, rng)
    modes = leading_modes(Phi @ Phi.T, 12, block=block)
    np.testing.assert_allclose(modes.eigenvalues, gamma[:12], rtol=1e-10)
    expected = Phi[:, 1:7] @ Phi[:, 1:7].T
    np.testing.assert_allclose(modes.on_views[:, 1:7] @ modes.on_views[:, 1:7].T, expected, atol=1e-8)


def test_a_narrow_cluster_is_resolved(rng):
    gamma = 1 + 1e-6 * np.arange(5, 0, -1)
    Phi = features_with_spectrum([*gamma, 0.3, 0.2, 0.1], N, rng)
    np.testing.assert_allclose(leading_modes(Phi @ Phi.T, 6, block=2).eigenvalues[:5], gamma, rtol=1e-11)


def test_restarts_change_nothing(rng):
    K = decaying_gram(rng, power=0.6)
    free, short = leading_modes(K, 16, block=4), leading_modes(K, 16, block=4, max_basis=48)
    np.testing.assert_allclose(short.eigenvalues, free.eigenvalues, rtol=1e-11)
    np.testing.assert_allclose(short.on_views, free.on_views, atol=1e-6)


def test_seeds_give_the_same_modes_and_signs(rng):
    K = decaying_gram(rng)
    first, second = leading_modes(K, 8, seed=0), leading_modes(K, 8, seed=1)
    np.testing.assert_allclose(first.on_views, second.on_views, atol=1e-7)


def test_one_product_an_iteration(rng):
    K, products = decaying_gram(rng), []

    def product(Q):
        products.append(Q.shape)
        return K @ Q

    modes = leading_modes(product, 10, num_pairs=N, block=8)
    np.testing.assert_allclose(modes.eigenvalues, leading_modes(K, 10, block=8).eigenvalues, rtol=1e-12)
    assert set(products) == {(2 * N, 8)}
    assert 8 * len(products) < 2 * N  # cheaper than the whole matrix, which 2N columns would be


def test_a_kernel_of_low_rank_gives_all_there_is(rng):
    psi = rng.normal(size=(2 * N, 9))
    modes = leading_modes(psi @ psi.T, 20)
    expected = contrastive_modes(psi @ psi.T)
    assert len(modes) == len(expected) == 9
    np.testing.assert_allclose(modes.eigenvalues, expected.eigenvalues, atol=1e-12)


def test_identical_views_are_kernel_pca(rng):
    x = rng.normal(size=(N, 4))
    kernel = np.exp(-((x[:, None] - x) ** 2).sum(-1) / 8)
    reference = KernelPCA(n_components=10, kernel="precomputed").fit(kernel)
    modes = leading_modes(np.tile(kernel, (2, 2)), 10, center=True)
    np.testing.assert_allclose(modes.eigenvalues, reference.eigenvalues_ / N, rtol=1e-9)


def test_float32_matrix_is_solved_as_it_stands(rng):
    K = decaying_gram(rng).astype(np.float32)
    modes = leading_modes(K, 10)
    np.testing.assert_allclose(modes.eigenvalues, leading_modes(K.astype(np.float64), 10).eigenvalues, rtol=1e-12)
    assert modes.on_views.dtype == np.float64


def test_few_views_go_to_the_dense_solver(rng):
    K = random_gram(20, rng)
    np.testing.assert_array_equal(leading_modes(K, 5).on_views, contrastive_modes(K, num_modes=5).on_views)
    np.testing.assert_allclose(
        leading_modes(lambda Q: K @ Q, 5, num_pairs=20).on_views, contrastive_modes(K, num_modes=5).on_views, atol=1e-12
    )


@pytest.mark.parametrize(
    ("gram", "message"),
    [
        (np.zeros((2 * N, 2 * N)), "zero"),
        (np.full((2 * N, 2 * N), np.nan), "NaN"),
        (np.eye(2 * N) + np.triu(np.ones((2 * N, 2 * N)), 1), "not symmetric"),
        (-np.eye(2 * N), "positive semi-definite"),
    ],
)
def test_what_is_no_gram_matrix_is_refused(gram, message):
    with pytest.raises(KernelError, match=message):
        leading_modes(gram, 5)


@pytest.mark.parametrize("shape", [(4, 6), (5, 5), (0, 0)])
def test_products_need_two_views_of_every_pair(shape):
    with pytest.raises(KernelError, match="shape"):
        inspect.unwrap(gram_product)(np.ones(shape))  # unwrapped: the shape annotation would speak first


def test_a_constant_kernel_has_nothing_left_when_centred():
    with pytest.raises(KernelError, match="same for all views"):
        leading_modes(np.full((2 * N, 2 * N), 0.1), 5, center=True)


def test_settings_out_of_range_and_too_few_products(rng):
    K = decaying_gram(rng)
    with pytest.raises(ConvergenceError, match="were not found"):
        leading_modes(K, 20, max_iterations=4)
    with pytest.raises(ConfigError, match="positive"):
        leading_modes(K, 0)
    with pytest.raises(ConfigError, match="max_basis"):
        leading_modes(K, 20, max_basis=21)
    with pytest.raises(KernelError, match="num_pairs"):
        leading_modes(lambda Q: K @ Q, 20)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_products_are_those_of_the_matrix(rng, dtype, monkeypatch):
    monkeypatch.setattr("dynamics.modes.gram_product.TILE_BYTES", 3 * 8 * 70 * 8)
    K = rng.normal(size=(70, 70)).astype(dtype)
    Q = rng.normal(size=(70, 3))
    for matrix in (K, np.asfortranarray(K)):
        product, views = gram_product(matrix)
        assert views == 70
        np.testing.assert_allclose(product(Q), K.astype(np.float64) @ Q, rtol=1e-12, atol=1e-13)
    monkeypatch.setattr("dynamics.modes.gram_product.COPIED_BYTES", 0)
    np.testing.assert_allclose(gram_product(K)[0](Q), K.astype(np.float64) @ Q, rtol=1e-12, atol=1e-13)
