"""Claims about practical networks, on courses that are made up: they hold where they should and fail where not."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from pictures import assert_shows_something

from dynamics.studies.stepwise import blur, kernel_after, study
from dynamics.studies.stepwise.colours import colours_of
from dynamics.studies.stepwise.hidden import hidden_claims
from dynamics.studies.stepwise.open_questions import (
    Learned,
    accuracy_by_mode,
    method_overlaps,
    same_modes_claims,
    usefulness_claims,
)
from dynamics.studies.stepwise.practical import LOSSES, PracticalRun, digits_recipes, full_recipes
from dynamics.studies.stepwise.three_losses import (
    embeddings_figure,
    rank_claims,
    three_losses_claims,
    three_losses_figure,
)
from dynamics.support.files import save_figure
from dynamics.training.class_probes import LabelledImages
from dynamics.trajectories.trajectory import Trajectory

TIMES = np.linspace(0, 12, 400)
APART, TOGETHER = [2.0, 5.0, 8.0], [2.0, 2.1, 2.2]


def course(centres, layer=None, collapsed=False, rate=6.0):
    """Logistic steps at the centres; orthogonal directions, one for each, or one alone."""
    u = 1 / (1 + np.exp(-rate * (TIMES[:, None] - np.array(centres))))
    signs = np.array([[(-1.0) ** (i >> j) for j in range(3)] for i in range(8)])
    F = np.sqrt(u)[:, None, :] * signs
    if collapsed:
        F = F[:, :, :1] * np.ones(3)
    hidden = {"stage4": u if layer is None else 1 + layer(u)}
    steps = np.arange(len(TIMES))
    return Trajectory(
        TIMES, u, ((1 - u) ** 2).sum(axis=1), embeddings=F, embedding_times=TIMES, steps=steps, hidden=hidden
    )


class Made(PracticalRun):
    """A run whose course is made up, without a network."""

    def __init__(self, **fields):
        self.__dict__.update(fields)


def runs(small, standard, seeds=2):
    recipe = digits_recipes()["barlow-twins"]
    made = {"small": small, "standard": standard}
    return [
        Made(loss=loss, start=start, seed=seed, prepared=SimpleNamespace(recipe=recipe), trajectory=made[start])
        for loss in LOSSES
        for start in made
        for seed in range(seeds)
    ]


def verdicts(claims):
    return [claim.verdict for claim in claims]


def test_steps_are_counted_by_loss_and_start():
    blurred = course(TOGETHER)
    assert verdicts(three_losses_claims(runs(course(APART), blurred))) == ["holds"] * 6
    assert verdicts(three_losses_claims(runs(blurred, blurred))) == ["fails"] * 6
    assert verdicts(three_losses_claims(runs(course(APART), course(APART)))) == ["holds", "fails"] * 3


def test_rank_on_a_plateau_is_its_number():
    assert verdicts(rank_claims(runs(course(APART), course(APART)))) == ["holds"] * 3
    assert verdicts(rank_claims(runs(course(APART, collapsed=True), course(APART)))) == ["holds", "fails", "fails"]
    never = course([2.0, 40.0, 50.0])  # plateaus that a run did not come to
    assert verdicts(rank_claims(runs(never, never))) == ["holds", "fails", "fails"]


def test_hidden_spectra_follow_the_steps_or_do_not():
    assert verdicts(hidden_claims(runs(course(APART), course(APART)))) == ["holds", "holds"]
    reverse = course(APART, layer=lambda u: u[:, ::-1])
    early = course(APART, layer=lambda u: np.minimum(1, 20 * TIMES[:, None] / 12) * np.ones(3))
    assert verdicts(hidden_claims(runs(reverse, reverse)))[0] == "fails"
    assert verdicts(hidden_claims(runs(early, early))) == ["fails", "fails"]


def test_blur_of_logistic_steps_is_known():
    """The rise from 10 to 90 % takes ln 81 / rate; the gaps are 3."""
    for rate in (2.0, 6.0):
        assert blur.blur(course(APART, rate=rate)) == pytest.approx(np.log(81) / rate / 3, rel=0.01)
    assert blur.blur(course([2.0, 40.0, 50.0])) == np.inf
    claims = blur.network_blur_claims(runs(course(APART), course(TOGETHER)))
    assert verdicts(claims) == ["holds"] * 3
    assert verdicts(blur.network_blur_claims(runs(course(TOGETHER), course(APART)))) == ["fails"] * 3
    off = {alpha: np.array([[0.5, 0.5], [0.3, 0.3]]) for alpha in blur.SCALES}
    assert verdicts(blur.linear_blur_claims(off, 10)) == ["fails", "fails"]


def images(rng, count=120):
    labels = np.arange(count) % 3
    return LabelledImages(np.zeros((count, 1, 1, 1)), labels, np.zeros((count, 1, 1, 1)), labels), labels


def test_usefulness_is_read_from_each_mode_alone(rng):
    """Of four modes the first two tell the classes apart; in the other order they come late."""
    every, labels = images(rng)
    useful = np.stack([labels, -labels], axis=1) + 0.01 * rng.normal(size=(len(labels), 2))
    Z = np.c_[useful, rng.normal(size=(len(labels), 2))]
    alone, upto = accuracy_by_mode(Learned(Z, Z), every)
    assert alone[0] == alone[1] == 1.0 and alone[2:].max() < 0.7
    assert upto[0] <= 1.0 and len(upto) == 4
    made = runs(course(APART), course(APART))
    assert verdicts(usefulness_claims({loss: [np.array([alone, upto])] * 2 for loss in LOSSES}, made)) == ["holds"] * 3
    late = {loss: [np.array([alone[::-1], upto])] * 2 for loss in LOSSES}
    assert verdicts(usefulness_claims(late, made)) == ["fails"] * 3


def test_methods_with_the_same_modes_are_told_from_others(rng):
    Q = np.linalg.qr(rng.normal(size=(40, 9)))[0]
    Q = np.linalg.qr(Q - Q.mean(axis=0))[0]

    def learned(columns):
        Z = Q[:, columns] @ rng.normal(size=(3, 3))
        return Learned(Z[:20], Z[20:])

    same = {loss: [learned([0, 1, 2]) for _ in range(2)] for loss in LOSSES}
    apart = {loss: [learned([3 * i, 3 * i + 1, 3 * i + 2]) for _ in range(2)] for i, loss in enumerate(LOSSES)}
    assert np.allclose(np.concatenate(list(method_overlaps(same, None).values())), 1)
    overlaps = method_overlaps(apart, None)
    assert np.allclose(overlaps["vicreg", "simclr"], 0, atol=1e-12) and np.allclose(overlaps["vicreg", "vicreg"], 1)
    made = runs(course(APART), course(APART))
    assert verdicts(same_modes_claims(apart, made)) == ["fails"] * 6


def test_kernels_that_say_nothing_fail(rng, monkeypatch):
    """Features whose strongest modes are the embeddings, and features of noise."""
    made = runs(course(APART), course(APART))
    F = made[0].trajectory.embeddings[-1]
    F = F - F.mean(axis=0)
    noise = rng.normal(size=(8, 5))
    for features, tangent, expected in ((np.c_[F, 1e-3 * noise], 0.9, "holds"), (np.c_[1e-3 * F, noise], 0.1, "fails")):
        monkeypatch.setattr(kernel_after, "readout_features", lambda run, h=features: h - h.mean(axis=0))
        monkeypatch.setattr(kernel_after, "tangent_overlap", lambda run, value=tangent: value)
        found = verdicts(kernel_after.kernel_claims(made))
        assert found[-1] == expected and len(found) == 5
        if expected == "holds":
            assert set(found) == {"holds"}


def test_mean_colours():
    red, grey = np.zeros((1, 2, 2, 3)), np.full((1, 2, 2, 3), 0.5)
    red[..., 0] = 1
    colours = colours_of(np.concatenate([red, red[..., [1, 0, 2]], grey]))
    third = 2 * np.pi / 3  # green lies a third of the circle from red
    np.testing.assert_allclose(colours["hue"], [[1, 0], [np.cos(third), np.sin(third)], [0, 0]], atol=1e-6)
    np.testing.assert_allclose(colours["saturation"][:, 0], [1, 1, 0])
    np.testing.assert_allclose(colours["brightness"][:, 0], [1, 1, 0.5])


def test_full_size_resolves_to_the_presets(tmp_path):
    full = full_recipes(tmp_path)
    assert {name: set(found) for name, found in full.items()} == {"cifar10": set(LOSSES), "stl10": set(LOSSES)}
    for dataset, network, preset in (("cifar10", "resnet18", "gpu"), ("stl10", "resnet50", "stl10")):
        for loss, recipe in full[dataset].items():
            assert (recipe.dataset, recipe.network, recipe.preset, recipe.width) == (dataset, network, preset, 1.0)
            assert (recipe.objective, recipe.init, recipe.data_dir) == (loss, "small", tmp_path)


@pytest.mark.slow
def test_networks_are_trained_looked_at_and_go_on(tmp_path, monkeypatch):
    """Everything about practical networks on a few steps: claims, figures, and runs that are found finished."""
    tiny = {
        loss: replace(recipe, steps=24, batch=16, probe_images=24, num_images=64)
        for loss, recipe in digits_recipes().items()
    }
    monkeypatch.setattr(kernel_after, "TANGENT_PAIRS", 4)
    claims = study.practical_claims(tmp_path, tiny, [0, 1], checkpoints=tmp_path / "checkpoints")
    again = study.practical_claims(tmp_path, tiny, [0, 1], checkpoints=tmp_path / "checkpoints")
    assert len(claims) == len({claim.claim for claim in claims}) == 30
    assert [claim.measured for claim in claims] == [claim.measured for claim in again]
    for name in ("fig2_digits", "modes_digits"):
        assert_shows_something(tmp_path / f"{name}.png")
    assert len(list(tmp_path.glob("fig2_digits_*.npz"))) == 12


def test_a_network_that_learns_nothing_fails_and_is_drawn(tmp_path):
    still = course([40.0, 41.0, 42.0])
    made = runs(still, still)
    assert made[0].directions.shape == (3, 0) and made[0].steps == 0
    nothing = Learned(np.zeros((5, 0)), np.zeros((5, 0)))
    labels = np.arange(5)
    every = LabelledImages(np.zeros((5, 1, 1, 1)), labels, np.zeros((5, 1, 1, 1)), labels)
    none = {loss: [accuracy_by_mode(nothing, every)] * 2 for loss in LOSSES}
    assert np.all(
        [np.all(values == 0) for values in method_overlaps(dict.fromkeys(LOSSES, [nothing] * 2), None).values()]
    )
    for claims in (three_losses_claims, rank_claims, hidden_claims, blur.network_blur_claims):
        assert set(verdicts(claims(made))) == {"fails"}
    assert verdicts(usefulness_claims(none, made)) == ["fails"] * 3
    save_figure(embeddings_figure(made[0], np.arange(4)), tmp_path / "embeddings")
    assert_shows_something(tmp_path / "embeddings.png")


def test_figures_are_drawn(tmp_path):
    made = runs(course(APART), course(TOGETHER))
    save_figure(three_losses_figure(made), tmp_path / "losses")
    save_figure(embeddings_figure(made[0], np.arange(4)), tmp_path / "embeddings")
    assert_shows_something(tmp_path / "losses.png")
    assert_shows_something(tmp_path / "embeddings.png")
