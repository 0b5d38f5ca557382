"""Every record of the registry against its loss, and objectives that users register, by name wherever a loss goes."""

import inspect
import subprocess
import sys
from dataclasses import fields
from pkgutil import resolve_name

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import dynamics
from dynamics.errors import ConfigError
from dynamics.flow import matrix_kernel_descent, matrix_kernel_flow, objective_flow
from dynamics.objectives import OBJECTIVES, Objective, embedding_loss, objective_loss, vicreg_squared
from dynamics.recipe.config import LOSS_SETTINGS, PRESETS, Recipe


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_record_says_what_its_loss_takes(name):
    record = OBJECTIVES[name]
    parameters = inspect.signature(resolve_name(record.loss)).parameters
    optional = {key for key, parameter in parameters.items() if parameter.default is not parameter.empty}
    assert record.settings.keys() == optional - {"graph", "key"}
    assert ("key" in parameters) == record.random
    assert list(parameters)[:2] == ["predictions", "targets"] or not record.takes_targets
    for setting in record.settings.values():
        assert setting.meaning.endswith(".") and setting.recipe_field in (None, *LOSS_SETTINGS)
    for preset, settings in record.presets.items():
        assert preset in PRESETS and settings.keys() <= {field.name for field in fields(Recipe)}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_scale_free_is_what_does_not_see_the_lengths(name, rng):
    F, targets = rng.normal(size=(2, 8, 3)).astype("float32")
    lengths = rng.uniform(0.1, 10, size=(8, 1)).astype("float32")
    loss, more = objective_loss(name), (targets,) if OBJECTIVES[name].takes_targets else ()
    seen = abs(float(loss(lengths * F, *more)) - float(loss(F, *more)))
    assert (seen < 1e-5) == OBJECTIVES[name].scale_free


@pytest.fixture
def pull(monkeypatch):
    """Quadratic VICReg under a name of the user's."""
    monkeypatch.setitem(OBJECTIVES, "pull", Objective(vicreg_squared, "this test"))
    return vicreg_squared


def test_a_registered_objective_goes_wherever_a_loss_goes(pull, rng):
    x = rng.normal(size=(8, 5))
    K, F, times = x @ x.T / 5, 0.1 * rng.normal(size=(8, 2)), np.linspace(0, 1, 4)
    theta = K[:, :, None, None] * np.eye(2)
    by_name, by_function = (objective_flow(K, F, times, loss) for loss in ("pull", pull))
    np.testing.assert_array_equal(by_name.eigenvalues, by_function.eigenvalues)
    np.testing.assert_allclose(matrix_kernel_flow(theta, F, times, objective="pull").loss, by_name.loss, rtol=1e-5)
    descents = [matrix_kernel_descent(theta, F, 0.01, np.arange(5), objective=loss) for loss in ("pull", pull)]
    np.testing.assert_array_equal(descents[0].loss, descents[1].loss)
    assert float(dynamics.precondition_spectrum("pull", floor=0.1)(jnp.asarray(F))) == pytest.approx(
        float(pull(F)), rel=1e-5
    )
    linear = dynamics.SmallNetwork(apply=lambda W, x: x @ W, params=jnp.asarray(F[:5], "float32"))
    pairs = dynamics.Pairs(x[:4].astype("float32"), x[4:].astype("float32"))
    trained = [
        dynamics.gradient_descent(linear, pairs, learning_rate=0.01, steps=3, objective=loss) for loss in ("pull", pull)
    ]
    np.testing.assert_array_equal(trained[0].loss, trained[1].loss)
    assert trained[0].objective == "pull"


def test_names_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match="no objective 'pull'; choose from barlow-twins"):
        embedding_loss("pull")
    with pytest.raises(ConfigError, match="byol is a loss of predictions and targets"):
        embedding_loss("byol")


def test_no_file_hides_a_loss_of_its_name():
    """`dynamics.objectives.vicreg` is the loss, whichever files were imported before."""
    code = (
        "import pkgutil, importlib, dynamics.objectives as o\n"
        "files = [m.name for m in pkgutil.iter_modules(o.__path__)]\n"
        "for file in files: importlib.import_module(f'dynamics.objectives.{file}')\n"
        "assert not set(files) & set(o.__all__), files\n"
        "assert all(hasattr(o, name) for name in o.__all__)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


@pytest.mark.parametrize("kind", ["zero rows", "a constant dimension", "a dead dimension", "nothing but zeros"])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_degenerate_embeddings_have_a_finite_loss_and_gradient(name, kind, rng):
    F, targets = rng.normal(size=(2, 8, 3)).astype("float32")
    if kind == "zero rows":
        F[:2] = 0
    elif kind == "nothing but zeros":
        F[:] = 0
    else:
        F[:, 1] = 0.7 if kind == "a constant dimension" else 0
    loss, more = objective_loss(name), (targets,) if OBJECTIVES[name].takes_targets else ()
    value, gradient = jax.value_and_grad(loss)(jnp.asarray(F), *more)
    assert np.isfinite(value) and np.isfinite(np.asarray(gradient)).all()
