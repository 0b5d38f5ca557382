"""Keller, Suau, Zappella (2023), Homomorphic Self-Supervised Learning.

Positive pairs are two fibers of one pass through an equivariant network in place of two augmented images. What of it is
exact is tested in float64; the rest by training on 8×8 digits: with and without structure, at every topographic
distance, and from a small start against the forecast from the contrastive modes of the pairs of fibers. No result
numbers of the paper are known here: calibrations are earlier measurements of the same quantities with a network of the
same kind, and sizes are choices made here.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from dynamics.drawing.trajectories import comparison_figure, style
from dynamics.experiment import prepare, train
from dynamics.experiment.config import Config
from dynamics.networks.equivariant import EquivariantNetwork
from dynamics.networks.fiber_pairs import FiberPairs
from dynamics.networks.groups import PlaneGroup
from dynamics.studies.claims import Claim
from dynamics.studies.homomorphic import PAPER
from dynamics.studies.homomorphic.figures import filter_figure, ladder_figure, sweep_figure, table_figure
from dynamics.studies.homomorphic.identity import OBJECTIVES, Twins, broken_symmetry, spectral_filter
from dynamics.studies.homomorphic.scales import PIXELS, scale_claims, scale_gaps, scales_figure
from dynamics.studies.homomorphic.steps import Ladder, inv_ratio, ladder
from dynamics.studies.homomorphic.table import calibration_claims, sweep_claims, table_claims
from dynamics.studies.homomorphic.training import DIM, measure, rotation_schemes, sweep_schemes
from dynamics.support import files
from dynamics.support.progress import progress_bar
from dynamics.views import load_images

EXACT = 1e-12


def run(
    out: Path,
    *,
    data_dir: Path | None = None,
    full: bool = False,
    seed: int = 0,
    dataset: str = "digits",
    num_seeds: int = 3,
    steps: int = 1500,
    sweep_steps: int = 300,
    num_images: int = 32,
    dim: int = 6,
) -> list[Claim]:
    """Test the claims and draw the figures.

    Parameters
    ----------
    out : Path
        Folder for figures (PNG and PDF), tables (JSON) and trajectories.
    data_dir : Path, optional
        Folder with the official files of the data set.
    full : bool
        Eight seeds, and a sweep as long as the table. Takes tens of minutes.
    seed : int
        Seed of everything that is random: splits, weights, pairs.
    dataset : str
        `digits`, or another of square images. Trained parts take longer in proportion to the pixels.
    num_seeds : int
        Repetitions of every training of the table.
    steps, sweep_steps : int
        Adam steps of the table and of the sweep.
    num_images, dim : int
        Images and outputs of the networks whose steps are forecast.
    """
    out = Path(out)
    if full:
        num_seeds, sweep_steps = max(num_seeds, 8), steps
    images = load_images(dataset, data_dir, limit=None if dataset == "digits" else 6000)
    chosen = np.random.default_rng(seed).permutation(len(images))
    x = (images.images - images.images.mean()) / images.images.std()
    twins, claims = _identities(x[chosen[:16]], seed)
    claims += _filter(out, twins, x[chosen[:48]], seed) + _scales(out, seed)
    claims += _steps(out, x[chosen[:num_images]], dataset, dim, seed) + _trained_apart(dataset, data_dir, seed)
    seeds = [seed + i for i in range(num_seeds)]
    rows = measure(rotation_schemes(images.shape, steps), images, seeds)
    files.save_json(out / "table.json", [row.table() for row in rows])
    files.save_figure(table_figure(rows, chance=1 / len(np.unique(images.labels))), out / "table")
    sweep = measure(sweep_schemes(images.shape, sweep_steps), images, seeds[:1])
    files.save_json(out / "sweep.json", [row.table() for row in sweep])
    files.save_figure(sweep_figure(sweep), out / "sweep")
    of = f"{len(images):,} {dataset} images, {steps} steps, {num_seeds} seeds, L₁ unless named, d = {DIM}"
    claims += table_claims(rows, of) + sweep_claims(sweep)
    return claims + calibration_claims(rows, of) if dataset == "digits" else claims


# ---------------------------------------------------------------- exact statements


def _identities(images: np.ndarray, seed: int) -> tuple[Twins, list[Claim]]:
    """Loss and gradient of A-SSL and H-SSL, the network's exactness, and the sign of the fiber index."""
    claims, names, twins = [], ("c4", "d4", "translation", "p4"), {}
    with progress_bar("identities", total=len(names)) as done:
        for index, name in enumerate(names):
            group = PlaneGroup(name, *images.shape[1:3])
            twins[name] = Twins(EquivariantNetwork(group, width=8, dim=4, activation="erf"), images, seed)
            gaps = twins[name].gaps()
            source = f"{PAPER}, homomorphism; group {name} of {group.order} elements, float64"
            claims += [
                Claim.at_most(
                    f"{name}: the network is equivariant (largest relative error over the group)",
                    source,
                    bound=EXACT,
                    measured=gaps.equivariance,
                ),
                Claim.at_most(
                    f"{name}: A-SSL and H-SSL have the same loss (relative difference, largest of "
                    f"{', '.join(OBJECTIVES)})",
                    source,
                    bound=EXACT,
                    measured=gaps.loss,
                ),
                Claim.at_most(
                    f"{name}: and the same gradient (relative difference, largest of them)",
                    source,
                    bound=EXACT,
                    measured=gaps.gradient,
                ),
            ]
            done(index + 1)
    return twins["c4"], claims + _wrong_sign(twins["c4"], seed)


def _wrong_sign(twins: Twins, seed: int) -> list[Claim]:
    """The fiber that shows what np.rot90 by g shows is (−g) mod 4; with g in its place only half turns agree."""
    source = f"{PAPER}, f(T_h x)[g] = f(x)[h⁻¹g]; group c4, float64"
    differences, drawn = {}, twins.drawn
    for turns, name in (([1, 3], "quarter"), ([0, 2], "half")):
        partners = np.random.default_rng(seed).choice(turns, size=drawn.shape[1])
        twins.drawn = np.stack([np.zeros_like(partners), partners])
        differences[name] = twins.loss_gap(drawn=-twins.drawn % 4)
    twins.drawn = drawn
    return [
        Claim.at_least(
            "c4: with fiber g in place of (−g) mod 4 the losses differ for quarter turns",
            source,
            bound=1e-3,
            measured=differences["quarter"],
        ),
        Claim.at_most(
            "c4: and agree for half turns, where the mistake hides",
            source,
            bound=EXACT,
            measured=differences["half"],
        ),
    ]


def _filter(out: Path, twins: Twins, images: np.ndarray, seed: int) -> list[Claim]:
    """The filter of the topographic distance, and what is left of the identity when the symmetry is broken."""
    cyclic = PlaneGroup("cyclic", *images.shape[1:3])
    with progress_bar("filter", total=2) as done:
        filtered, aliased = (spectral_filter(group, images, seed) for group in (cyclic, twins.network.group))
        done(1)
        errors, gaps = broken_symmetry(twins, np.geomspace(1e-6, 1.0, 7), seed)
        done(2)
    files.save_figure(filter_figure(filtered, errors, gaps, f"cycle of {cyclic.order}"), out / "filter")
    slope = np.polyfit(np.log(errors[:4]), np.log(gaps[:4]), 1)[0]
    source = f"{PAPER}, topographic distance; fibers of {len(images)} images on a cycle of {cyclic.order}, float64"
    claims = []
    for kind, formula in (("distance", "cos 2πmd/n"), ("window", "Dirichlet kernel"), ("Haar", "m = 0 alone")):
        laws = [law for law in filtered.error if law.startswith(kind)]
        claims.append(
            Claim.at_most(
                f"{kind}: measured C₊ is the sum of the power matrices times μ_m = {formula} (largest error "
                f"relative to C₀, {len(laws)} laws)",
                source,
                bound=EXACT,
                measured=max(filtered.error[law] for law in laws),
            )
        )
    claims += [
        Claim.equals(
            "distance 2 on a cycle of four aliases: partners share frequency 2 whole (μ₂ measured)",
            f"{PAPER}, topographic distance; group c4, float64",
            expected=1.0,
            measured=aliased.measured["distance 2"][2],
            tolerance=EXACT,
        ),
        Claim.equals(
            "filters turned only nearly: the losses differ in proportion to the equivariance error (exponent)",
            "float64, c4, random errors of 1e-6 … 1e-3 of the filters",
            expected=1.0,
            measured=slope,
            tolerance=0.1,
        ),
    ]
    return claims


def _scales(out: Path, seed: int) -> list[Claim]:
    """Changes of size, on digits whatever the data set: what a grid leaves of the identity at every band limit."""
    digits = load_images("digits", limit=12).images[..., 0]
    found = [scale_gaps(digits, pixels, seed) for pixels in PIXELS]
    files.save_figure(scales_figure(found), out / "scales")
    return scale_claims(found)


# ---------------------------------------------------------------- stepwise forecast


def _steps(out: Path, images: np.ndarray, dataset: str, dim: int, seed: int) -> list[Claim]:
    """H-SSL from a small start against the contrastive modes of its pairs of fibers."""
    turns, shifts = (PlaneGroup(name, *images.shape[1:3]) for name in ("c4", "cyclic"))
    cases = (
        ("p4, Haar", FiberPairs.haar(turns), True),
        ("p4, distance 2", FiberPairs.at_distance(turns, 2), True),
        ("shifts, window 1", FiberPairs.within(shifts, 1), True),
        ("CNN, “Haar”", FiberPairs.haar(turns), False),
    )
    ladders = []
    for name, pairs, tied in cases:
        network = EquivariantNetwork(pairs.group, width=8, dim=dim, head="flatten", tied=tied)
        ladders.append(ladder(name, network, pairs, images, seed))
    first = ladders[0]
    first.measured.save(out / "steps_measured.npz")
    first.comparison.save(out / "steps_comparison.json")
    with style():
        files.save_figure(comparison_figure(first.comparison, first.measured, first.forecasts), out / "steps")
    files.save_figure(ladder_figure(ladders), out / "ladders")
    claims = [claim for found in ladders for claim in _ladder_claims(found, f"{len(images)} {dataset} images", dim)]
    learned = {found.name: found.modes.num_positive for found in ladders}
    source = f"contrastive modes of pairs of fibers; {len(images)} {dataset} images, all pairs"
    claims += [
        Claim.equals(
            "p4, Haar: as many modes can be learned as there are invariant directions, n − 1",
            source,
            expected=len(images) - 1,
            measured=learned["p4, Haar"],
            tolerance=0,
        ),
        Claim.equals(
            "p4, distance 2: twice as many, since frequency 2 aliases to agreement, 2n − 1",
            source,
            expected=2 * len(images) - 1,
            measured=learned["p4, distance 2"],
            tolerance=0,
        ),
        Claim.at_least(
            "p4, distance 2: the first mode is no invariant: it changes sign with a quarter turn (part at frequency 2)",
            source,
            bound=0.9,
            measured=ladders[1].frequencies[0, 2],
        ),
    ]
    return claims


def _ladder_claims(found: Ladder, of: str, dim: int) -> list[Claim]:
    overlaps = [plateau.overlap for plateau in found.comparison.subspace_overlap]
    source = (
        f"small readout, kernel of the fibers at the start; {of}, d = {dim}, outputs times c = {found.multiplier:.3g}, "
        "which keeps the kernel nearly as it is"
    )
    return [
        Claim.equals(
            f"{found.name}: the H-SSL network steps when the modes of its pairs of fibers say (median "
            "|predicted/measured − 1|)",
            source,
            expected=0.0,
            measured=found.comparison.median_error("ode"),
            tolerance=0.1,
        ),
        Claim.at_least(
            f"{found.name}: at every plateau its subspace is that of the top modes (lowest overlap of {len(overlaps)})",
            source,
            bound=0.9,
            measured=found.comparison.lowest_overlap,
        ),
        Claim.equals(
            f"{found.name}: it ends as invariant as the modes are (inv-ratio)",
            source,
            expected=inv_ratio(found.predicted_fibers),
            measured=inv_ratio(found.fibers),
            tolerance=0.05,
        ),
    ]


def _trained_apart(dataset: str, data_dir: Path | None, seed: int) -> list[Claim]:
    """The same start and the same group elements, trained on augmented images and on fibers."""
    settings = {"dataset": dataset, "data_dir": data_dir, "seed": seed, "num_pairs": 24, "dim": 3}
    config = Config(**settings, network="group-convnet", width=4, init_scale=1e-3, multiplier="auto")
    augmented, homomorphic = (train(prepare(replace(config, pairs=pairs))).eigenvalues for pairs in ("group", "fibers"))
    return [
        Claim.at_most(
            "p4: trained apart by gradient descent, A-SSL and H-SSL run the same course (largest difference of the "
            "eigenvalues of C at any time, float32)",
            f"{PAPER}, homomorphism; Barlow Twins, 24 {dataset} images, d = 3",
            bound=0.01,
            measured=np.abs(augmented - homomorphic).max(),
        )
    ]
