from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import erf

from dynamics.errors import ConfigError
from dynamics.networks import ARCHITECTURES, MLP, ConvNet, GroupConvNet, PlaneGroup, ResNet, architecture
from dynamics.networks.layers import ACTIVATION_GAINS
from dynamics.networks.linen import convolve_patches, convolve_xla
from dynamics.support.precision import double_precision

IMAGES = [
    ConvNet(width=8, depth=2),
    ConvNet(width=8, depth=2, head="pool", b_std=0.3),
    ResNet(width=4),
    ResNet(width=4, stages=3, head="pool", activation="erf"),
    MLP(width=16, depth=3, activation="gelu", b_std=0.1),
]


IDS = ["convnet-flatten", "convnet-pool", "resnet-flatten", "resnet-pool", "mlp"]


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).normal(size=(4, 6, 6, 2)).astype(np.float32)


@pytest.fixture(scope="module", params=IMAGES, ids=IDS)
def case(request, images):
    """Declaration, parameters, and the values of the three methods on the images."""
    network = request.param.module(dim=3)
    params = jax.jit(network.init)(jax.random.key(0), images)

    @jax.jit
    def everything(params):
        return {name: network.apply(params, images, method=name) for name in ("__call__", "features", "hidden")}

    return request.param, params["params"], everything(params)


def test_output_is_features_times_readout_over_root_n(case):
    _, params, values = case
    h, W = values["features"], params["readout"]["kernel"]
    assert set(params["readout"]) == {"kernel"}
    assert W.shape == (h.shape[1], 3)
    np.testing.assert_allclose(values["__call__"], h @ W / np.sqrt(h.shape[1]), rtol=1e-5, atol=1e-6)


def test_every_parameter_is_standard_normal(case):
    values = np.concatenate([leaf.ravel() for leaf in jax.tree.leaves(case[1])])
    assert abs(values.mean()) < 5 / np.sqrt(values.size)
    assert abs(values.var() - 1) < 5 * np.sqrt(2 / values.size)


def test_hidden_activations_have_the_declared_names(case):
    declared, _, values = case
    hidden = values["hidden"]
    np.testing.assert_array_equal(hidden["features"], values["features"])
    if isinstance(declared, ResNet):
        blocks = [f"stage{s}_block{b}" for s in range(1, declared.stages + 1) for b in range(1, declared.blocks + 1)]
        assert set(hidden) == {"stem", *blocks, "features"}
    else:
        assert set(hidden) == {f"layer{i}" for i in range(1, declared.depth)} | {"features"}
    assert all(len(a) == 4 and np.isfinite(a).all() for a in hidden.values())


def test_parameter_count_matches_the_parameters(case):
    declared, params, _ = case
    assert declared.parameter_count((6, 6, 2), 3) == sum(leaf.size for leaf in jax.tree.leaves(params))


def test_mlp_by_hand(rng):
    x = rng.normal(size=(5, 7)).astype(np.float32)
    network = MLP(width=6, depth=2, b_std=0.5).module(dim=2)
    params = network.init(jax.random.key(0), x)
    p = jax.tree.map(np.asarray, params["params"])
    h = x
    for name in ("layer1", "layer2"):
        layer = p["body"][name]
        h = np.maximum(np.sqrt(2 / h.shape[1]) * h @ layer["kernel"] + 0.5 * layer["bias"], 0)
    np.testing.assert_allclose(network.apply(params, x), h @ p["readout"]["kernel"] / np.sqrt(6), rtol=1e-5, atol=1e-6)


def test_convolution_equals_patches_times_weights(images):
    # the same convolution written as nine shifted slices of the zero-padded image
    network = ConvNet(width=5, depth=1).module(dim=1)
    params = network.init(jax.random.key(0), images)
    weights = np.asarray(params["params"]["body"]["layer1"]["kernel"]).reshape(9 * 2, 5)
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    patches = np.concatenate([padded[:, i : i + 6, j : j + 6] for i in range(3) for j in range(3)], axis=-1)
    h = np.maximum(np.sqrt(2 / 18) * patches @ weights, 0).reshape(4, -1)
    np.testing.assert_allclose(network.apply(params, images, method="features"), h, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("size", "stride", "side"), [(3, 1, 6), (3, 2, 6), (3, 2, 7), (1, 2, 6), (2, 1, 5), (3, 2, 1)])
def test_both_forms_of_the_convolution_agree(rng, size, stride, side):
    x, kernel = rng.normal(size=(2, side, side + 1, 3)), rng.normal(size=(size, size, 3, 4))
    with double_precision():
        expected = convolve_xla(jnp.asarray(x), jnp.asarray(kernel), stride)
        np.testing.assert_allclose(convolve_patches(jnp.asarray(x), jnp.asarray(kernel), stride), expected, atol=1e-13)


def test_float64_network_equals_float32_network(images):
    network = ConvNet(width=4, depth=2, head="pool").module(dim=3)
    params = network.init(jax.random.key(0), images)
    with double_precision():
        double = network.apply(params, jnp.asarray(images, jnp.float64))
    assert double.dtype == np.float64
    np.testing.assert_allclose(network.apply(params, images), double, rtol=1e-4, atol=1e-5)


def test_resnet_halves_the_image_and_doubles_the_width(images):
    network = ResNet(width=4, blocks=1, stages=3).module(dim=1)
    params = jax.eval_shape(network.init, jax.random.key(0), images)
    hidden = jax.eval_shape(partial(network.apply, method="hidden"), params, images)
    assert [hidden[f"stage{s}_block1"].shape[1:] for s in (1, 2, 3)] == [(6, 6, 4), (3, 3, 8), (2, 2, 16)]


@pytest.mark.parametrize("kind", ACTIVATION_GAINS)
def test_gain_keeps_unit_variance(kind):
    phi = {
        "relu": lambda z: max(z, 0.0),
        "erf": erf,
        "gelu": lambda z: z * (1 + erf(z / np.sqrt(2))) / 2,
    }[kind]
    moment, _ = quad(lambda z: phi(z) ** 2 * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi), -np.inf, np.inf)
    assert ACTIVATION_GAINS[kind] ** 2 * moment == pytest.approx(1, rel=1e-8)


@pytest.mark.parametrize("depth", [1, 4, 16])
def test_relu_keeps_the_second_moment_at_any_depth(rng, depth):
    x = rng.normal(size=(16, 64)).astype(np.float32)
    network = MLP(width=1024, depth=depth).module(dim=1)
    h = network.apply(network.init(jax.random.key(0), x), x, method="features")
    # fluctuations over the weights: relative variance about 5 depth / width (Hanin 2018)
    ratio = (np.asarray(h) ** 2).mean() / (x**2).mean()
    assert abs(ratio - 1) < 4 * np.sqrt(5 * depth / 1024)


@pytest.mark.parametrize("blocks", [1, 6])
def test_residual_variance_stays_bounded(rng, blocks):
    x = rng.normal(size=(4, 8, 8, 3)).astype(np.float32)
    network = ResNet(width=64, blocks=blocks, stages=1).module(dim=1)
    hidden = jax.jit(lambda key: network.apply(network.init(key, x), x, method="hidden"))(jax.random.key(0))
    # away from the zero padding, the sums grow by (1 + 1/L)^L, less than e
    interior = slice(3, 5)
    stem, last = ((np.asarray(hidden[k])[:, interior, interior] ** 2).mean() for k in ("stem", f"stage1_block{blocks}"))
    assert 0.6 * (1 + 1 / blocks) ** blocks < last / stem < 1.5 * np.e


def test_integer_views_are_accepted():
    network = MLP(width=4, depth=1).module(dim=1)
    params = network.init(jax.random.key(0), jnp.ones((2, 3)))
    assert network.apply(params, np.ones((2, 3), dtype=np.uint8)).dtype == jnp.float32


def test_registry_builds_every_architecture():
    assert architecture("resnet", width=16, head="pool") == ResNet(width=16, head="pool")
    needed = {"group-convnet": {"group": PlaneGroup("c4", 8, 8)}}
    assert all(isinstance(architecture(name, **needed.get(name, {})), kind) for name, kind in ARCHITECTURES.items())


def test_group_convnet_checks_its_settings_and_views():
    group = PlaneGroup("c4", 8, 8)
    for make, message in (
        (lambda: architecture("group-convnet"), "needs 'group'"),
        (lambda: GroupConvNet(group=group, kernel_size=2), "odd number"),
        (lambda: GroupConvNet(group=group, b_std=0.1), "leave them out"),
        (lambda: GroupConvNet(group=group).module(0), "at least 1"),
        (lambda: GroupConvNet(group=group).layers(), "no infinite-width kernel"),
        (lambda: GroupConvNet(group=group).check_input((6, 6, 1)), "8×8 images"),
        (lambda: GroupConvNet(group=group).check_input((8, 8)), "channel axis"),
    ):
        with pytest.raises(ConfigError, match=message):
            make()
    assert GroupConvNet(group=group, width=4).parameter_count((8, 8, 1), 3) == 9 * 4 + 4 * 9 * 4 * 4 + 64 * 4 * 3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MLP(width=0), "MLP: width is 0; give an integer of at least 1."),
        (lambda: MLP(depth=0), "MLP: depth is 0; give an integer of at least 1."),
        (lambda: ConvNet(kernel_size=0), "ConvNet: kernel_size is 0; give an integer of at least 1."),
        (lambda: ResNet(stages=0), "ResNet: stages is 0; give an integer of at least 1."),
        (lambda: ResNet(head="max"), "ResNet: head 'max' is unknown; choose from flatten, pool."),
        (lambda: MLP(activation="tanh"), "MLP: activation 'tanh' is unknown; choose from relu, erf, gelu."),
        (lambda: MLP(w_std=-1.0), "MLP: w_std is -1.0; give a positive number, or leave it out."),
        (lambda: MLP(b_std=float("nan")), "MLP: b_std is nan; give a positive number, or leave it out."),
        (lambda: MLP().module(0), "MLP: dim is 0; give an integer of at least 1."),
        (
            lambda: architecture("vgg"),
            "architecture 'vgg' is unknown; choose from mlp, convnet, resnet, group-convnet.",
        ),
        (
            lambda: architecture("mlp", head="pool"),
            "architecture 'mlp' has no setting 'head'; it has activation, w_std, b_std, width, depth.",
        ),
    ],
)
def test_bad_settings_are_named(make, message):
    with pytest.raises(ConfigError) as caught:
        make()
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("declared", "shape", "message"),
    [
        (
            ConvNet(),
            (64,),
            "ConvNet: needs views (height, width, channels), got shape (64,); "
            'give images, or take an MLP (`network="mlp"`).',
        ),
        (
            ResNet(),
            (8, 8),
            "ResNet: needs views (height, width, channels), got shape (8, 8); add a channel axis with x[..., None].",
        ),
        (MLP(), (), "MLP: needs views with at least one entry, got shape (); give arrays (n, ...)."),
    ],
)
def test_views_that_do_not_fit_are_refused(declared, shape, message):
    with pytest.raises(ConfigError) as caught:
        declared.module(2).init(jax.random.key(0), jnp.ones((3, *shape)))
    assert str(caught.value) == message
