"""Flows along the kinks of a loss, stiff flows and long ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from theory_references import features_with_spectrum

from dynamics import flow
from dynamics.errors import DivergenceError
from dynamics.flow import integrate
from dynamics.modes import contrastive_modes
from dynamics.objectives import barlow_twins, nt_xent, vicreg, vicreg_released
from dynamics.objectives.kinks import kinks_of, relaxed
from dynamics.support.precision import double_precision

TIMES = np.linspace(0, 1, 5)

LOSSES = {
    "vicreg": (vicreg, 3),
    "released": (jax.jit(vicreg_released), 6),
    "own": (lambda F: vicreg(F) + 0.1 * jnp.abs(F).mean(), 27),
    "relu": (lambda F: jax.nn.relu(1 - F.std(axis=0)).sum(), 3),
    "clip": (lambda F: jnp.clip(F, -1, 1).sum(), 48),
    "smooth": (barlow_twins, 0),
    "softplus": (lambda F: jax.nn.softplus(F).sum() + jax.nn.logsumexp(F), 1),
    "cosine": (nt_xent, 16),
}


@pytest.mark.parametrize("name", LOSSES)
def test_with_the_shares_of_its_signs_a_loss_is_itself(rng, name):
    loss, count = LOSSES[name]
    with double_precision():
        F = jnp.asarray(rng.normal(size=(8, 3)))
        x = kinks_of(loss)(F)
        value, gradient = jax.value_and_grad(lambda F: relaxed(loss)(F, jnp.where(x > 0, 1.0, 0.0))[0])(F)
        own, own_gradient = jax.value_and_grad(loss)(F)
    assert x.shape == (count,)
    np.testing.assert_allclose(value, own, rtol=1e-12)
    np.testing.assert_allclose(gradient, own_gradient, atol=1e-12)


@pytest.mark.parametrize(("pull", "slides"), [(0.5, True), (-0.5, True), (4.0, False)])
def test_a_flow_slides_where_both_sides_push_towards_the_kink(pull, slides):
    """|F₁| + aF₂ with K = [[1, c], [c, 1]]: on F₁ = 0 the share is −ca, if |ca| < 1, and dF₂/dt = −a(1 − c²)."""
    c, start, times = 0.5, np.array([0.4, 0.3]), np.linspace(0, 1, 6)
    loss = lambda F: jnp.abs(F[0, 0]) + pull * F[1, 0]  # noqa: E731
    K = np.array([[1.0, c], [c, 1.0]])
    found = flow.objective_flow(K, start[:, None], times, loss, embedding_times=times).embeddings[..., 0]
    touched = start[0] / (1 + c * pull)
    before, after = np.minimum(times, touched), np.maximum(times - touched, 0)
    below = -1.0  # the sign of F₁ after it has crossed zero
    rates = (0.0, -pull * (1 - c**2)) if slides else (-below - c * pull, -c * below - pull)
    expected = start + np.outer(before, [-1 - c * pull, -c - pull]) + np.outer(after, rates)
    np.testing.assert_allclose(found, expected, atol=1e-8)


def test_vicreg_and_an_own_loss_slide_as_small_steps_do(rng):
    """Euler steps chatter about the kink by O(η), and so do the errors of their path."""
    shared = rng.normal(size=(7, 40))
    A = np.concatenate([shared, shared]) + 0.5 * rng.normal(size=(14, 40))
    K, F = A @ A.T / 40, 0.3 * rng.normal(size=(14, 3))
    loss = LOSSES["own"][0]
    run = flow.objective_flow(K, F, TIMES, loss, embedding_times=np.array([1.0]))
    errors = []
    for steps in (10_000, 40_000):
        with double_precision():
            step = lambda _, Z, steps=steps: Z - K @ jax.grad(loss)(Z) / steps  # noqa: E731
            Z = jax.jit(lambda Z, steps=steps, step=step: jax.lax.fori_loop(0, steps, step, Z))(jnp.asarray(F))
        errors.append(np.abs(np.asarray(Z) - run.embeddings[0]).max())
    assert errors[1] < 0.4 * errors[0]  # to the same limit: a fourth, with half as much for what chatter adds
    assert errors[1] < 1e-3 * np.abs(F).max() * 10
    assert (np.diff(run.loss) < 0).all()


# ---------------------------------------------------------------- stiff flows and large starts


def test_modes_of_very_different_speed_are_followed_to_the_end(rng):
    """From an aligned start every mode is logistic, also the last of γ₄/γ₁ = 1e-6."""
    gamma, n = np.array([1.0, 0.3, 1e-3, 1e-6]), 5
    on_views = features_with_spectrum(gamma, n, rng)
    modes = contrastive_modes(on_views @ on_views.T)
    u0 = np.array([1e-3, 1e-3, 1e-3, 1e-2])
    start = modes.on_views[:, :4] @ np.diag(np.sqrt(u0 / gamma))
    times = np.array([0.0, 1.0, 1e3, 5e5, 1e6])
    run = flow.kernel_flow(modes, start, times)
    expected = 1 / (1 + (1 / u0 - 1) * np.exp(-8 * gamma * times[:, None]))
    np.testing.assert_allclose(run.eigenvalues, -np.sort(-expected, axis=1), atol=1e-6)


def test_a_start_of_scale_1e4_comes_down(rng):
    gamma, n = np.array([1.0, 0.5]), 3
    on_views = features_with_spectrum(gamma, n, rng)
    modes = contrastive_modes(on_views @ on_views.T)
    times = np.array([0.0, 0.01, 1.0, 10.0])
    run = flow.kernel_flow(modes, modes.on_views[:, :2] * 1e4, times)
    expected = 1 / (1 + (1 / (1e8 * gamma) - 1) * np.exp(-8 * gamma * times[:, None]))
    np.testing.assert_allclose(run.eigenvalues, -np.sort(-expected, axis=1), rtol=1e-6)


# ---------------------------------------------------------------- some steps at a time


def test_steps_taken_in_parts_are_the_same_flow_and_are_reported(rng, monkeypatch):
    views = rng.normal(size=(8, 10))
    modes, starts = contrastive_modes(views @ views.T / 10), [0.1 * rng.normal(size=(8, 2)) for _ in range(2)]
    times = np.linspace(0, 4, 7)
    whole = flow.kernel_flow(modes, starts[0], times, embedding_times=times[2:5])
    told = []
    monkeypatch.setattr(integrate, "_STEPS_AT_ONCE", 4)
    monkeypatch.setattr(integrate, "progress_bar", lambda *_, after: _Told(told))
    parts = flow.kernel_flow(modes, starts[0], times, embedding_times=times[2:5])
    np.testing.assert_allclose(parts.eigenvalues, whole.eigenvalues, atol=1e-8)
    np.testing.assert_allclose(parts.embeddings, whole.embeddings, atol=1e-8)
    assert len(told) >= 2 and told == sorted(told) and told[-1] <= 1000
    batch = flow.kernel_flow_batch(modes, starts, times)
    np.testing.assert_allclose(batch[0].eigenvalues, whole.eigenvalues, atol=1e-8)


def test_a_flow_can_be_interrupted_between_its_steps(rng, monkeypatch):
    def stop(done):
        raise KeyboardInterrupt

    monkeypatch.setattr(integrate, "_STEPS_AT_ONCE", 8)
    monkeypatch.setattr(integrate, "progress_bar", lambda *_, after: _Told(stop))
    views = rng.normal(size=(8, 10))
    modes = contrastive_modes(views @ views.T / 10)
    for follow in (flow.kernel_flow, lambda m, F, t: flow.kernel_flow_batch(m, [F], t)):
        with pytest.raises(KeyboardInterrupt):
            follow(modes, 0.1 * rng.normal(size=(8, 2)), np.linspace(0, 4, 7))


def test_a_stiff_flow_with_a_large_state_says_how_far_it_came(rng, monkeypatch):
    monkeypatch.setattr(integrate, "_IMPLICIT_SIZE", 0)
    monkeypatch.setattr(integrate, "MAX_STEPS", 24)
    monkeypatch.setattr(integrate, "_STEPS_AT_ONCE", 8)
    views = rng.normal(size=(8, 10))
    modes = contrastive_modes(views @ views.T / 10)
    with pytest.raises(DivergenceError, match=r"beyond t = [0-9.e+]+ to t = 1e\+06 within 24 steps"):
        flow.kernel_flow(modes, 0.1 * rng.normal(size=(8, 2)), np.array([0.0, 1e6]))


class _Told:
    """Stands for a progress bar."""

    def __init__(self, told):
        self.tell = told if callable(told) else told.append

    def __enter__(self):
        return self.tell

    def __exit__(self, *_):
        return None
