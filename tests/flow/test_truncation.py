import numpy as np
import pytest
from theory_references import correlation, features_with_spectrum, random_gram

from dynamics.errors import ConfigError
from dynamics.flow import kernel_flow, truncate
from dynamics.modes import ContrastiveModes, contrastive_modes
from dynamics.objectives.correlation import correlation_loss

GAMMA = np.array([1.0, 0.6, 0.3, 0.1, 0.05, 0.02, 0.01, -0.01, -0.2, -0.8])
N, DIM, END = 12, 3, 14.0


@pytest.fixture
def modes(rng):
    Phi = features_with_spectrum(GAMMA, N, rng)
    return contrastive_modes(Phi @ Phi.T)


def start(modes, rng, scale=1e-3):
    return modes.on_views @ rng.normal(size=(len(modes), DIM)) * scale


def leading(modes, m):
    return ContrastiveModes(modes.eigenvalues[:m], modes.duals[:, :m], modes.on_views[:, :m], modes.offset[:m])


@pytest.mark.parametrize("kept", [1, 3, 6, 9])
@pytest.mark.parametrize("scale", [1e-3, 0.2, 2.0])
def test_what_is_lost_stays_below_the_bound_all_along(modes, rng, kept, scale):
    F = start(modes, rng, scale)
    times = np.linspace(0, END, 30)
    cut = truncate(modes, F, END, num_modes=kept)
    assert len(cut.modes) == kept
    embeddings = kernel_flow(modes, F, times, embedding_times=times).embeddings
    for F_t in embeddings:
        rest = F_t - cut.modes.on_views @ cut.modes.coordinates(F_t)
        assert np.linalg.svd(correlation(rest), compute_uv=False).sum() <= cut.bound * (1 + 1e-8)


def test_the_bound_is_reached_by_a_mode_that_grows_alone(modes, rng):
    """With a single small mode outside, C stays small to the end, and the bound is its own growth."""
    F = modes.on_views[:, [5]] * 1e-4
    cut = truncate(modes, F, END, num_modes=4)
    grown = GAMMA[5] * 1e-8 * np.exp(8 * GAMMA[5] * END)
    assert cut.bound == pytest.approx(grown, rel=1e-6)


@pytest.mark.parametrize("tolerance", [1e-2, 1e-4])
def test_a_truncated_flow_is_the_flow_to_about_the_bound(modes, rng, tolerance):
    F, times = start(modes, rng), np.linspace(0, END, 40)
    full, cut = kernel_flow(modes, F, times), kernel_flow(modes, F, times, truncation=tolerance)
    assert cut.truncation_bound <= tolerance
    assert cut.num_modes < len(modes)
    # the kept modes feel the loss through their growth: 4 γ_1 · bound · time, relative
    assert np.abs(cut.eigenvalues - full.eigenvalues).max() <= tolerance * (1 + 8 * GAMMA[0] * END)
    assert full.num_modes is full.truncation_bound is None


def test_a_tolerance_out_of_reach_keeps_all_modes(modes, rng):
    cut = truncate(modes, start(modes, rng), END, tolerance=1e-30)
    assert len(cut.modes) == len(modes)
    assert cut.bound == 0.0


def test_modes_that_were_never_computed_count_through_the_norm(modes, rng):
    F = start(modes, rng)
    squared_norm = (modes.coordinates(F) ** 2).sum()
    few = leading(modes, 5)
    assert truncate(few, F, END, num_modes=4).bound == np.inf
    with_norm = truncate(few, F, END, num_modes=4, squared_norm=squared_norm).bound
    exact = truncate(modes, F, END, num_modes=4).bound
    assert exact <= with_norm < 100 * exact


def test_a_function_within_the_leading_modes_needs_no_norm(modes, rng):
    F = modes.on_views[:, :5] @ rng.normal(size=(5, DIM)) * 1e-3
    assert truncate(leading(modes, 5), F, END, num_modes=5).bound == 0.0


def test_full_rank_kernels_leave_nothing_outside(rng):
    modes = contrastive_modes(random_gram(N, rng))
    assert truncate(modes, rng.normal(size=(2 * N, 2)) * 1e-3, 1.0, num_modes=2 * N).bound == 0.0


def test_settings(modes, rng):
    F = start(modes, rng)
    for settings in ({}, {"tolerance": 0.1, "num_modes": 3}, {"num_modes": 0}, {"tolerance": -1.0}):
        with pytest.raises(ConfigError, match="Give either"):
            truncate(modes, F, END, **settings)
    with pytest.raises(ConfigError, match="λ = 1"):
        kernel_flow(modes, F, np.array([0.0, 1.0]), loss=lambda C: correlation_loss(C), truncation=0.1)
