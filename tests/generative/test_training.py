"""Methods, their losses and their training."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics.errors import ConfigError, DivergenceError
from dynamics.generative import METHODS, Bernoulli, Gaussian, GaussianPrior, SimVAE, fit, make_method
from dynamics.generative.methods import draw_views, strengths_to_try
from dynamics.networks import ConvDecoder, ConvEncoder, MLPDecoder, MLPEncoder
from dynamics.objectives import barlow_twins_normalised, generalised_spectral, nt_xent
from dynamics.training.loop import run as real_run
from dynamics.trajectories.outcome import Outcome
from dynamics.views import compose, get_augmentation, load_images

KEY = jax.random.key(0)
SHAPE = (8, 8, 1)
STYLE = get_augmentation("digits-style", SHAPE).first


def as_it_is(key, image):  # quick to compile
    return image


def model(noise=0.1, **settings):
    return SimVAE(MLPEncoder((8,), 6), MLPDecoder((8,), SHAPE), GaussianPrior(), Gaussian(noise), latent=3, **settings)


@pytest.fixture(scope="module")
def images():
    return load_images("digits", limit=40).images


@pytest.fixture(scope="module")
def views(images):
    return draw_views(STYLE, KEY, jnp.asarray(images[:6]), 2)


def value(method, params, views):
    return float(method.loss(params, KEY, views)[0])


def test_simvae_of_one_view_is_the_vae(views):
    one, vae = make_method("simvae", model(), num_views=1), make_method("vae", model())
    params = vae.init(KEY, SHAPE)
    assert value(one, params, views[:1]) == value(vae, params, views[:1])
    assert one.num_views == vae.num_views == 1


def test_beta_vae_and_cr_vae_add_to_the_vae(views):
    vae, beta = make_method("vae", model()), make_method("beta-vae", model(), strength=3.0)
    params = vae.init(KEY, SHAPE)
    _, terms = vae.loss(params, KEY, views[:1])
    expected = -terms["reconstruction"] - 3 * (terms["entropy"] + terms["prior"])
    np.testing.assert_allclose(value(beta, params, views[:1]), expected, rtol=1e-5)
    weak, strong = (make_method("cr-vae", model(), strength=s) for s in (0.1, 1.1))
    _, terms = weak.loss(params, KEY, views)
    np.testing.assert_allclose(
        value(strong, params, views) - value(weak, params, views), terms["consistency"], rtol=1e-4
    )
    assert terms["consistency"] > 0
    same = jnp.stack([views[0], views[0]])
    assert weak.loss(params, KEY, same)[1]["consistency"] == 0


@pytest.mark.parametrize(
    ("name", "objective"),
    [
        ("simclr", lambda F: nt_xent(F, 0.5)),
        ("barlow-twins", lambda F: barlow_twins_normalised(F, epsilon=1e-5)),
        ("l-lambda", generalised_spectral),
    ],
)
def test_joint_embedding_methods_train_the_means(views, name, objective):
    method = make_method(name, model())
    params = method.init(KEY, SHAPE)
    assert set(params) == {"encoder"}
    F = method.model.encoder.apply(params["encoder"], views.reshape(-1, *SHAPE))[:, :3]
    np.testing.assert_allclose(value(method, params, views), objective(F), rtol=1e-6)


def test_vicreg_is_the_released_recipe(views):
    """Variances and covariances in the two halves; on equal halves the library's are the same up to the factor d."""
    method = make_method("vicreg", model())
    params = method.init(KEY, SHAPE)
    same = jnp.stack([views[0], views[0]])
    z = np.asarray(method.model.embed(params, views[0]), np.float64)
    covariance = np.cov(z, rowvar=False, ddof=0)
    hinge = np.maximum(0, 1 - np.sqrt(np.diag(covariance) + 1e-4)).mean()
    off_diagonal = (np.square(covariance).sum() - np.square(np.diag(covariance)).sum()) / 3
    np.testing.assert_allclose(value(method, params, same), 3 * (25 * hinge + 2 * off_diagonal), rtol=1e-4)


@pytest.mark.parametrize(("name", "worth"), [("barlow-twins", 0.0051 * 8191), ("vicreg", 2 * 8191)])
@pytest.mark.parametrize("latent", [1, 2, 5])
def test_copies_of_one_dimension_cost_an_output_what_they_cost_among_8192(name, worth, latent, rng):
    """All outputs the same, of variance 1 and without noise: only the off-diagonal terms are left, if there are any."""
    z = rng.normal(size=(12, 1))
    z = (z - z.mean()) / z.std()

    class Copies(SimVAE):
        def embed(self, params, images):
            return jnp.tile(jnp.asarray(np.concatenate([z, z]), jnp.float32), (1, latent))

    copies = Copies(MLPEncoder((8,), 2 * latent), MLPDecoder((8,), SHAPE), GaussianPrior(), Gaussian(0.1), latent)
    transferred = strengths_to_try(name, latent)[-1]
    loss = make_method(name, copies, strength=transferred).loss({}, KEY, jnp.zeros((2, 12, *SHAPE)))[0]
    np.testing.assert_allclose(loss / latent, worth if latent > 1 else 0, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", METHODS)
def test_the_default_strength_is_among_those_to_try(name, views):
    strengths = strengths_to_try(name, 5)
    assert len(strengths) == (0 if name in ("vae", "simvae") else 3)
    if strengths:
        default = make_method(name, model())
        params = default.init(KEY, SHAPE)
        shown = views[: default.num_views]
        found = [value(make_method(name, model(), strength=strength), params, shown) for strength in strengths]
        assert len({float(v) for v in found}) == 3 and value(default, params, shown) in found
    else:
        with pytest.raises(ConfigError, match="has no strength"):
            make_method(name, model(), strength=1.0)


def test_views_are_independent_draws(images):
    drawn = np.asarray(draw_views(STYLE, KEY, jnp.asarray(images[:5]), 3))
    assert drawn.shape == (3, 5, *SHAPE)
    assert np.abs(drawn[0] - drawn[1]).max() > 0.1


@pytest.mark.parametrize("name", METHODS)
def test_every_method_descends_along_its_gradient(name, views):
    method = make_method(name, model())
    params = method.init(KEY, SHAPE)
    shown = views[: method.num_views]
    loss = jax.jit(lambda params: method.loss(params, KEY, shown)[0])
    gradient = jax.jit(jax.grad(lambda params: method.loss(params, KEY, shown)[0]))(params)
    squared = sum(float(jnp.vdot(leaf, leaf)) for leaf in jax.tree.leaves(gradient))
    step = 1e-3 * abs(float(loss(params))) / squared
    moved = jax.tree.map(lambda leaf, slope: leaf - step * slope, params, gradient)
    expected = -step * squared
    assert float(loss(moved) - loss(params)) == pytest.approx(expected, rel=0.2)


def test_training_lowers_the_loss(images):
    """With each of eight seeds; all of them would fall by chance once in 256 times."""
    fitted = fit(make_method("simvae", model()), images, STYLE, steps=30, batch=32, learning_rate=3e-3, num_seeds=8)
    loss = fitted.terms["loss"]
    assert (loss[-5:].mean(axis=0) < loss[:5].mean(axis=0)).all()


@pytest.mark.slow
def test_seeds_together_and_one_by_one_are_the_same(images):
    method = make_method("simvae", model(), num_views=2)
    settings = {"steps": 3, "batch": 16, "learning_rate": 1e-3, "num_seeds": 2, "seed": 3}
    together = fit(method, images, as_it_is, **settings)
    apart = fit(method, images, as_it_is, **settings, together=False)
    for a, b in zip(jax.tree.leaves(together.params), jax.tree.leaves(apart.params), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5)
    np.testing.assert_allclose(together.terms["loss"], apart.terms["loss"], rtol=1e-4)
    assert together.num_seeds == 2 and together.terms["prior"].shape == (4, 2)
    assert np.abs(together.embed(images, 0) - together.embed(images, 1)).max() > 1e-3


def test_a_stopped_training_goes_on_as_if_it_had_not_been(images, tmp_path, monkeypatch):
    import dynamics.generative.fitting as fitting

    method = make_method("vae", model())
    settings = {"steps": 8, "batch": 16, "learning_rate": 1e-3}
    whole = fit(method, images, as_it_is, **settings)

    def interrupted(update, state, *, steps, **rest):
        state, _ = real_run(update, state, steps=4, **{**rest, "observe_at": [k for k in rest["observe_at"] if k <= 4]})
        return state, Outcome.interrupted(4)

    monkeypatch.setattr(fitting, "run", interrupted)
    with pytest.raises(KeyboardInterrupt, match="vae: interrupted after step 4"):
        fit(method, images, as_it_is, **settings, checkpoints=tmp_path)
    monkeypatch.setattr(fitting, "run", real_run)
    resumed = fit(method, images, as_it_is, **settings, checkpoints=tmp_path)
    for a, b in zip(jax.tree.leaves(whole.params), jax.tree.leaves(resumed.params), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(whole.terms["loss"], resumed.terms["loss"])


def test_convolutional_autoencoder_fits_any_side():
    """Sides that are halved unevenly too, and both likelihoods; shapes alone, nothing is compiled."""
    for shape, likelihood in (((8, 8, 1), Bernoulli()), ((7, 9, 3), Gaussian()), ((32, 32, 3), Gaussian())):
        encoder, decoder = ConvEncoder((8, 16), 2, outputs=4), ConvDecoder((16, 8), 2, shape=shape)
        convolutional = SimVAE(encoder, decoder, GaussianPrior(), likelihood, latent=2)
        x = jax.ShapeDtypeStruct((2, *shape), jnp.float32)
        params = jax.eval_shape(lambda key, c=convolutional, s=shape: c.init(key, s), KEY)
        assert jax.eval_shape(convolutional.reconstruct, params, x).shape == x.shape
        assert jax.eval_shape(convolutional.embed, params, x).shape == (2, 2)


def test_mistakes_are_named(images):
    with pytest.raises(ConfigError, match=r"no method `gan`; known are vae, beta-vae"):
        make_method("gan", model())
    with pytest.raises(ConfigError, match="`vae` has no strength"):
        make_method("vae", model(), strength=2.0)
    with pytest.raises(ConfigError, match="num_views is 0"):
        make_method("simvae", model(), num_views=0)
    with pytest.raises(ConfigError, match="A batch of 4 views is 0 images with 6 views each"):
        fit(make_method("simvae", model(), num_views=6), images, STYLE, steps=1, batch=4)
    broken = compose(lambda key, image: image * jnp.nan)
    with pytest.raises(DivergenceError, match="vae: the loss stopped being finite"):
        fit(make_method("vae", model()), images, broken, steps=2, batch=8)
