import numpy as np
import pytest
from theory_references import features_with_spectrum, random_gram, velocity

from dynamics.errors import ConfigError, DataError
from dynamics.flow import embeddings_at, kernel_flow, kernel_flow_batch
from dynamics.modes import contrastive_modes
from dynamics.objectives.correlation import correlation_loss

N = 9


@pytest.fixture
def modes(rng):
    return contrastive_modes(random_gram(N, rng))


def test_a_batch_equals_its_flows_one_by_one(modes, rng):
    """Seeds, scales and dimensions together."""
    starts = [rng.normal(size=(2 * N, d)) * scale for d, scale in ((2, 1e-3), (3, 1e-6), (2, 0.1), (3, 0.0))]
    times = np.linspace(0, 6 / modes.eigenvalues[0], 25)
    batch = kernel_flow_batch(modes, starts, times)
    for F, one in zip(starts, batch, strict=True):
        alone = kernel_flow(modes, F, times)
        assert one.eigenvalues.shape == (25, F.shape[1])
        np.testing.assert_allclose(one.eigenvalues, alone.eigenvalues, atol=1e-8)
        np.testing.assert_allclose(one.loss, alone.loss, atol=1e-7)


def test_truncation_records_the_bound_of_every_start(rng):
    Phi = features_with_spectrum([1.0, 0.5, 0.1, 0.05, 0.01, -0.3], N, rng)
    modes = contrastive_modes(Phi @ Phi.T)
    starts = [modes.on_views @ rng.normal(size=(6, 2)) * scale for scale in (1e-3, 1e-4)]
    times = np.linspace(0, 8, 20)
    batch = kernel_flow_batch(modes, starts, times, truncation=1e-3)
    assert 2 <= batch[0].num_modes < 6
    assert batch[1].truncation_bound < batch[0].truncation_bound <= 1e-3
    for F, one in zip(starts, batch, strict=True):
        np.testing.assert_allclose(one.eigenvalues, kernel_flow(modes, F, times).eigenvalues, atol=1e-2)


def test_settings_and_divergence(modes, rng):
    F, times = rng.normal(size=(2 * N, 2)), np.array([0.0, 1.0])
    with pytest.raises(ConfigError, match="at least one initial function"):
        kernel_flow_batch(modes, [], times)
    other = lambda C: correlation_loss(C)  # noqa: E731
    with pytest.raises(ConfigError, match="λ = 1"):
        kernel_flow_batch(modes, [F, F[:, :1]], times, loss=other)
    with pytest.raises(DataError, match="not finite in row 0"):
        kernel_flow_batch(modes, [F * 1e-3, F * np.nan], times)


# ---------------------------------------------------------------- new points


def test_new_points_move_with_the_training_views(rng):
    """Against explicit Euler steps of dF/dt = −k ∇_F L on training views and new points together."""
    views, new = rng.normal(size=(2 * N, 40)), rng.normal(size=(4, 40))
    K, rows = views @ views.T / 40, new @ views.T / 40
    modes = contrastive_modes(K)
    F, f = (rng.normal(size=(count, 2)) * 1e-2 for count in (2 * N, 4))
    end, steps = 3.0, 20000
    F_t, f_t = F, f
    for _ in range(steps):
        together = np.concatenate([K, rows])
        F_dot = velocity(K, F_t)
        # the same gradient, seen through the rows of the new points
        gradient = np.linalg.solve(K, F_dot)
        assert together.shape == (2 * N + 4, 2 * N)
        f_t, F_t = f_t + end / steps * rows @ gradient, F_t + end / steps * F_dot
    forecast = kernel_flow(modes, F, np.array([0.0, end]), embedding_times=np.array([0.0, end]))
    carried = embeddings_at(modes, forecast, rows, initial=f)
    np.testing.assert_allclose(carried[0], f, atol=1e-12)
    np.testing.assert_allclose(carried[-1], f_t, atol=2e-3 * np.abs(f_t).max())


def test_training_views_as_new_points_are_themselves(modes, rng):
    K = modes.on_views @ modes.on_views.T  # of full rank: Σ φφᵀ is the kernel
    F, times = rng.normal(size=(2 * N, 2)) * 1e-2, np.array([0.0, 2.0])
    forecast = kernel_flow(modes, F, times, embedding_times=times)
    np.testing.assert_allclose(embeddings_at(modes, forecast, K), forecast.embeddings, atol=1e-8)


def test_new_points_need_snapshots(modes, rng):
    F, times = rng.normal(size=(2 * N, 2)) * 1e-2, np.array([0.0, 1.0])
    with pytest.raises(ConfigError, match="no embeddings"):
        embeddings_at(modes, kernel_flow(modes, F, times), np.zeros((1, 2 * N)))
    late = kernel_flow(modes, F, times, embedding_times=np.array([1.0]))
    with pytest.raises(ConfigError, match="must be 0"):
        embeddings_at(modes, late, np.zeros((1, 2 * N)), initial=np.zeros((1, 2)))
