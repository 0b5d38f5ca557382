"""Float32 means float32: every product that the theory computes in float32 asks the device for all its digits.

Accelerators multiply float32 matrices with 10 bits unless they are told otherwise, and a CPU never does; so the test
looks at what is asked for and not at the numbers. Whatever the theory packages export is either called here on float32
input, or does not import JAX, or has a reason why it is not called: a new function is tested by being public.
"""

import importlib
import inspect
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from dynamics import flow, function_classes, generative, kernels, modes, solvable
from dynamics.experiment.network import random_network
from dynamics.kernels.infinite import stax_kernel
from dynamics.networks import MLP, ConvNet, FiberPairs, PlaneGroup, ResNet
from dynamics.networks.equivariant import EquivariantNetwork
from dynamics.support.precision import full_precision

THEORY = ("kernels", "modes", "flow", "optima", "solvable", "function_classes", "generative")

NOT_CALLED = {
    "Kernel": "a record; all kernels below are called through it",
    **dict.fromkeys(
        ("BilinearModel", "Reduction", "SaddlePath", "model_of_kernel"), "NumPy in float64, and a record of its numbers"
    ),
    "estimate_memory": "it counts bytes",
    "embeddings_at": "it takes a trajectory of the flows below, and integrates as they do",
    "mode_residuals": "NumPy; the products that it is given are those of KernelProduct and TiledGram",
    **dict.fromkeys(
        (
            "FunctionClass",
            "Linear",
            "LinearInFeatures",
            "Lipschitz",
            "PatchConvolution",
            "ReLUUnits",
            "Tabular",
            "Units",
        ),
        "a class of functions to train, by the device's default",
    ),
    **dict.fromkeys(
        (
            "Bernoulli",
            "ElboTerms",
            "FlatPrior",
            "Gaussian",
            "GaussianPrior",
            "Likelihood",
            "Posterior",
            "Prior",
            "SimVAE",
        ),
        "a part of a model to train, by the device's default",
    ),
    **dict.fromkeys(
        ("Fitted", "Method", "elbo", "evaluate", "fit", "make_method"), "training, by the device's default"
    ),
    **dict.fromkeys(("gaussian_objective", "vicreg_expansion"), "a loss to train under, as those of `objectives`"),
    **dict.fromkeys(("LinearRun", "TiedPLDA"), "a record of NumPy's numbers"),
    "arrival_times": "NumPy, in a file that imports JAX for other functions",
    "mehler_eigenvalues": "NumPy, in a file that imports JAX for other functions",
    "mutual_information": "NumPy, in a file that imports JAX for other functions",
    "pair_operator": "NumPy, in a file that imports JAX for other functions",
    "simvae_growth": "NumPy, in a file that imports JAX for other functions",
    "vicreg_weights": "arithmetic of one number",
    **dict.fromkeys(("lagging_fixed_point", "lagging_stability"), "NumPy, beside a flow that is called"),
}


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


VIEWS = normal(8, 5)
IMAGES = normal(4, 4, 4, 1)
START = 0.1 * normal(8, 2, seed=1)
TIMES = np.linspace(0, 0.2, 3)
WEIGHTS = {"first": normal(5, 6, seed=2), "readout": normal(6, 2, seed=3)}
FOUR = normal(4, 4, seed=4)


def network(params, x):
    return jnp.tanh(x @ params["first"]) @ params["readout"]


def hidden(params, x):
    return jnp.tanh(x @ params["first"])


def called(kernel, x=VIEWS):
    """A kernel called directly, and bound to its rows; traced alone where it can be."""
    if kernel.bind is None:
        jax.eval_shape(kernel, x, x)
        jax.eval_shape(lambda rows, columns: kernel.against(rows)(columns), x, x)
    else:
        kernel(x, x)
        kernel.against(x[:2])(x)


def the_modes():
    return modes.contrastive_modes(VIEWS @ VIEWS.T, num_modes=4)


def readout_network():
    return flow.ReadoutNetwork(
        lambda V: jnp.tanh(jnp.asarray(VIEWS) @ V), normal(5, 3, seed=4), 0.1 * normal(3, 2, seed=5), scale=0.5
    )


def bilinear_model():
    return flow.reduced_model(readout_network(), 0.01, 3, directions=1, rank=2).model


def matrix_kernel():
    return kernels.full_empirical_ntk(network, WEIGHTS, VIEWS, dtype="float32")


def moments():
    Sigma = FOUR @ FOUR.T
    return Sigma, 0.5 * Sigma


CALLS = {
    "KernelProduct": lambda: kernels.KernelProduct(kernels.linear(), VIEWS, dtype="float32")(START),
    "TiledGram": lambda: kernels.TiledGram(kernels.linear(), VIEWS, tile=4, dtype="float32")(START),
    "arc_cosine": lambda: called(kernels.arc_cosine(1)),
    "conjugate_kernel": lambda: called(kernels.conjugate_kernel(hidden, WEIGHTS, dtype="float32")),
    "empirical_ntk": lambda: called(kernels.empirical_ntk(network, WEIGHTS, dtype="float32")),
    "estimate_cost": lambda: kernels.estimate_cost(kernels.linear(), VIEWS, dtype="float32"),
    "full_empirical_ntk": matrix_kernel,
    "gram": lambda: kernels.gram(lambda a, b: jnp.asarray(a) @ b.T, VIEWS, dtype="float32"),
    "infinite_kernel": lambda: [
        called(kernels.infinite_kernel(MLP(depth=1), backend=backend)) for backend in ("fused", "neural-tangents")
    ],
    "kernel_probe": lambda: kernels.kernel_probe(network, VIEWS)(WEIGHTS),
    "linear": lambda: called(kernels.linear()),
    "rbf": lambda: called(kernels.rbf(length_scale=2.0)),
    "relu_network": lambda: called(kernels.relu_network(2)),
    "leading_modes": lambda: modes.leading_modes(VIEWS @ VIEWS.T, 2),
    "nystrom_modes": lambda: modes.nystrom_modes(lambda a, b: jnp.asarray(a) @ b.T, VIEWS, landmarks=6, num_modes=2),
    "random_feature_modes": lambda: modes.random_feature_modes(
        lambda index: jnp.tanh(jnp.asarray(VIEWS) @ normal(5, 3, seed=index)), draws=2, num_modes=2
    ),
    "kernel_flow": lambda: flow.kernel_flow(the_modes(), START, TIMES),
    "kernel_flow_batch": lambda: flow.kernel_flow_batch(the_modes(), [START, 2 * START], TIMES),
    "ReadoutNetwork": lambda: readout_network().pullback(readout_network().tangent(normal(5, 3))),
    "reduced_model": lambda: flow.reduced_model(readout_network(), 0.01, 3, directions=1, rank=2),
    "bilinear_descent": lambda: flow.bilinear_descent(bilinear_model(), 0.01, np.arange(3)),
    "bilinear_flow": lambda: flow.bilinear_flow(bilinear_model(), TIMES),
    "exact_bilinear_descent": lambda: flow.exact_bilinear_descent(readout_network(), 0.01, np.arange(3)),
    "relinearised_descent": lambda: flow.relinearised_descent(readout_network(), 0.01, np.arange(3), segments=2),
    "saddle_to_saddle_flow": lambda: flow.saddle_to_saddle_flow(
        lambda V: jnp.tanh(jnp.asarray(VIEWS) @ V), normal(5, 1, seed=4)
    ),
    "mean_field_flow": lambda: flow.mean_field_flow(VIEWS @ VIEWS.T, VIEWS @ VIEWS.T, 0.5, START, TIMES),
    "kernel_descent": lambda: flow.kernel_descent(the_modes(), START, 0.01, np.arange(3)),
    "matrix_growth_rate": lambda: flow.matrix_growth_rate(matrix_kernel()),
    "matrix_kernel_flow": lambda: flow.matrix_kernel_flow(matrix_kernel(), START, TIMES),
    "matrix_kernel_descent": lambda: flow.matrix_kernel_descent(matrix_kernel(), START, 0.01, np.arange(3)),
    "objective_flow": lambda: flow.objective_flow(VIEWS @ VIEWS.T, START, TIMES, "barlow-twins"),
    "teacher_flow": lambda: flow.teacher_flow(
        VIEWS @ VIEWS.T, START, TIMES, "latent-prediction", predictor=np.eye(2, dtype=np.float32), teacher_age=1.0
    ),
    "lagging_teacher": lambda: solvable.lagging_teacher(*np.ones((2, 3)), 0.1 * np.ones((3, 3)), TIMES),
    "lipschitz_constant": lambda: function_classes.lipschitz_constant(VIEWS, START),
    "lipschitz_extension": lambda: function_classes.lipschitz_extension(VIEWS, START, 10.0, VIEWS[:2]),
    "linear_elbo": lambda: generative.linear_elbo(FOUR[:2], FOUR[:, :2], *moments(), generative.TiedPLDA()),
    "plda_log_likelihood": lambda: generative.plda_log_likelihood(
        FOUR[:, :2], *map(jnp.asarray, moments()), generative.TiedPLDA()
    ),
    "plda_flow": lambda: generative.plda_flow(generative.TiedPLDA(), *moments(), 0.1 * FOUR[:, :2], TIMES),
    "simvae_flow": lambda: generative.simvae_flow(
        generative.TiedPLDA(), *moments(), 0.1 * FOUR[:2], 0.1 * FOUR[:, :2], TIMES
    ),
    "plda_forecast": lambda: generative.plda_forecast(
        generative.TiedPLDA(), np.ones(4), np.linspace(0.9, 0.6, 4), 0.1 * FOUR[:, :2], TIMES
    ),
    "simvae_forecast": lambda: generative.simvae_forecast(
        generative.TiedPLDA(), np.ones(4), np.linspace(0.9, 0.6, 4), 0.1 * FOUR[:2], 0.1 * FOUR[:, :2], TIMES
    ),
    "pointwise_mutual_information": lambda: generative.pointwise_mutual_information(
        VIEWS, VIEWS, generative.GaussianPrior(between_variance=0.5)
    ),
}

FURTHER = {
    "kernels of convolutional networks": lambda: [
        called(kernels.infinite_kernel(declared, kind), IMAGES)
        for declared in (ConvNet(depth=1), ConvNet(depth=1, head="pool"), ResNet(blocks=1))
        for kind in ("ntk", "nngp")
    ],
    "neural-tangents' own function": lambda: stax_kernel(ConvNet(depth=1))(IMAGES, None, "ntk"),
    "features behind a conjugate kernel": lambda: small_experiment().hidden_layer,
    "fibers": lambda: [fiber_embeddings(flag) for flag in (True, False)],
    "mode functions on new points": lambda: the_modes().functions(kernels.linear()(VIEWS[:2], VIEWS)),
}


def small_experiment():
    with full_precision():  # of the first parameters, for which a pass is traced that nobody looks at
        return random_network(MLP(width=4, depth=1), VIEWS, dim=2, seed=0)


def fiber_embeddings(homomorphic):
    group = PlaneGroup("c4", 4, 4)
    module, pairs = EquivariantNetwork(group, width=2, dim=2), FiberPairs.haar(group)
    with full_precision():
        params = module.init(jax.random.key(0), IMAGES[:1])
    drawn = pairs.draw(jax.random.key(1), len(IMAGES))
    return pairs.embeddings(module, params, IMAGES, drawn, homomorphic=homomorphic)


@pytest.fixture(scope="module", autouse=True)
def nothing_is_compiled():
    """What was traced before would not be traced again, and so not be seen."""
    jax.clear_caches()


@pytest.fixture
def products(monkeypatch):
    """Products of numbers shorter than float64 that a test asks for, as (operation, its precision)."""
    seen = []
    for primitive in (lax.dot_general_p, lax.conv_general_dilated_p):

        def bind(*operands, primitive=primitive, original=primitive.bind, **settings):
            if any(jnp.issubdtype(x.dtype, jnp.floating) and x.dtype != np.float64 for x in operands):
                seen.append((primitive.name, settings["precision"]))
            return original(*operands, **settings)

        monkeypatch.setattr(primitive, "bind", bind)
    return seen


def full(precision):
    return precision is not None and all(p == lax.Precision.HIGHEST for p in np.ravel(np.array(precision, object)))


def test_the_fixture_sees_what_is_not_full(products):
    jnp.asarray(VIEWS) @ jnp.asarray(VIEWS).T
    assert [full(precision) for _, precision in products] == [False]


@pytest.mark.parametrize("name", [*CALLS, *FURTHER])
def test_products_have_all_digits(name, products):
    (CALLS | FURTHER)[name]()
    assert [product for product in products if not full(product[1])] == []


@pytest.mark.parametrize("name", ["linear", "infinite_kernel", "KernelProduct", "conjugate_kernel", "fibers"])
def test_products_are_seen_where_there_are_some(name, products):
    jax.clear_caches()
    (CALLS | FURTHER)[name]()
    assert products


def imports_jax(function):
    source = Path(inspect.getsourcefile(inspect.unwrap(function))).read_text()
    return any(line.strip().startswith(("import jax", "from jax ", "from jax.")) for line in source.splitlines())


@pytest.mark.parametrize("package", THEORY)
def test_every_public_function_of_the_theory_is_called_or_has_a_reason(package):
    exported = importlib.import_module(f"dynamics.{package}")
    functions = {name: getattr(exported, name) for name in exported.__all__ if callable(getattr(exported, name))}
    forgotten = {name for name, function in functions.items() if imports_jax(function)} - {*CALLS, *NOT_CALLED}
    assert not forgotten, f"call {sorted(forgotten)} in CALLS, or say in NOT_CALLED why not"
