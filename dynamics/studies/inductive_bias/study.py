"""HaoChen & Ma (ICLR 2023), A Theoretical Study of Inductive Biases in Contrastive Learning (arXiv 2211.14699).

A limited class of functions has fewer modes than the data have clusters, so fewer outputs tell the label. Spectra,
laws, explicit minimisers and bounds are exact; trained classes are reported as shares of seeds; φ_m is measured on
real images. Numbers of the paper's Table 1 stand beside ours and are not claimed: data, networks and budget differ.
"""

from pathlib import Path

from dynamics.errors import ConfigError
from dynamics.function_classes import ReLUUnits
from dynamics.studies.claims import Claim
from dynamics.studies.inductive_bias import PAPER
from dynamics.studies.inductive_bias.bounds import bounds
from dynamics.studies.inductive_bias.cluster_claims import cluster_claims, interval
from dynamics.studies.inductive_bias.exact import CUBE, average_errors, law_claims, loss_mode_by_mode, spectra
from dynamics.studies.inductive_bias.explicit import explicit_minimisers
from dynamics.studies.inductive_bias.figures import bounds_figure, clusters_figure, errors_figure, phi_figure
from dynamics.studies.inductive_bias.implementable import (
    CIFAR,
    DIGITS,
    FULL,
    PAPER_SIZES,
    PAPER_TABLE,
    Implementable,
    measure,
)
from dynamics.studies.inductive_bias.training import (
    LAW_SEEDS,
    Runs,
    success,
    success_claims,
    train_and_probe,
    trained_laws,
)
from dynamics.support import files
from dynamics.support.progress import note
from dynamics.views import SignedCube
from dynamics.views.datasets import check_images

PHI_SEEDS = 3
"""Seeds of the networks whose φ_m is measured."""

LAW_CUBE = SignedCube(dim=6, signal=3)
"""The cube on which the error laws are tested; with s = 3 they have values between 0 and 1."""


def run(
    out: Path, *, data_dir: Path | None = None, full: bool = False, seed: int = 0, num_seeds: int = 16
) -> list[Claim]:
    """Test the claims and draw the figures.

    Parameters
    ----------
    out : Path
        Folder for figures (PNG and PDF) and numbers (JSON).
    data_dir : Path, optional
        Folder with the official CIFAR-10 files: φ_m is measured there in place of the embedded digits.
    full : bool
        CIFAR-10 (downloaded if there is no `data_dir`) with the paper's updates and sizes. Days on a CPU.
    seed : int
        Seed of everything that is random.
    num_seeds : int
        Number of trainings of each class, which is how finely shares of seeds are resolved.

    Raises
    ------
    ConfigError
        If `num_seeds` is below 1.
    """
    if num_seeds < 1:
        raise ConfigError(f"num_seeds is {num_seeds}; give at least 1.")
    if data_dir is not None:
        check_images("cifar10", data_dir)  # a missing file is reported before anything long begins
    out = Path(out)
    flow, descent = average_errors(seed, LAW_CUBE), trained_laws(seed, LAW_CUBE)
    found, bound_claims = bounds(seed)
    runs = success(seed, num_seeds)
    at_one = train_and_probe(ReLUUnits(), CUBE, dims=(4,), weight=1.0, num_seeds=num_seeds, seed=seed)[4]
    files.save_figure(errors_figure(flow, descent, LAW_CUBE, runs), out / "errors")
    files.save_figure(bounds_figure(found), out / "bounds")
    files.save_json(out / "trained.json", _rows(runs))
    claims = [
        *spectra(seed),
        *law_claims(flow, LAW_CUBE, "exact flow from random starts"),
        *law_claims(descent, LAW_CUBE, f"plain descent, {LAW_SEEDS} seeds"),
        *loss_mode_by_mode(seed),
        *explicit_minimisers(seed),
        *bound_claims,
        *success_claims(runs, at_one, num_seeds),
    ]
    dataset, budget = ("digits", DIGITS) if data_dir is None and not full else ("cifar10", FULL if full else CIFAR)
    seeds = [seed + i for i in range(PHI_SEEDS)]
    measured = measure(dataset, budget, data_dir=data_dir, full=full, seeds=seeds, report=note)
    files.save_figure(phi_figure(measured), out / "phi")
    files.save_figure(clusters_figure(measured), out / "clusters")
    paper = [
        {"architecture": name, **dict(zip(map(str, PAPER_SIZES), row, strict=True))}
        for name, row in PAPER_TABLE.items()
    ]
    files.save_json(out / "phi.json", {"data": measured.dataset, "measured": measured.table(), "paper": paper})
    return claims + phi_claims(measured)


def phi_claims(measured: Implementable) -> list[Claim]:
    """Order of the architectures and values of Table 1. That φ_m rises with m is so by construction and no claim."""
    last = {name: phi[:, -1] for name, phi in measured.phi.items()}
    means = {name: float(values.mean()) for name, values in last.items()}
    order = " < ".join(sorted(means, key=means.__getitem__))
    least, most = (last[pick(means, key=means.__getitem__)] for pick in (min, max))
    m, source = measured.sizes[-1], f"{PAPER}, Table 1; {measured.dataset}, {len(least)} seeds"
    claims = [
        Claim.at_least(
            f"architectures differ: {order} at m = {m} (largest φ_m over smallest; in the paper's table 1.5 at "
            f"m = {PAPER_SIZES[-1]})",
            f"{source}; the bound is this project's",
            bound=1.1,
            measured=(most / least).mean(),
            interval=interval(most / least),
        )
    ]
    paper = PAPER_TABLE["ResNet-18"][-1] / PAPER_TABLE["ViT"][-1]
    if {"ResNet", "ViT"} <= set(last):
        ratio = last["ResNet"] / last["ViT"]
        claims.append(
            Claim.at_least(
                f"a ViT agrees better with the pairs than a ResNet at m = {m} (φ_m of the ResNet over the ViT's; "
                f"{paper:.2f} in the paper's table at m = {PAPER_SIZES[-1]})",
                f"{source}, of the order of its ResNet-18 and ViT",
                bound=1.0,
                measured=ratio.mean(),
                interval=interval(ratio),
            )
        )
    claims += cluster_claims(measured) if measured.clusters else []
    return claims + (_table_claims(measured) if measured.dataset.startswith("cifar10") else [])


def _table_claims(measured: Implementable) -> list[Claim]:
    """The values of Table 1 where its data and sizes are measured, with narrower networks than the paper's."""
    return [
        Claim.equals(
            f"{ours}: φ_m at m = {m}, where the paper's {theirs} has {expected}",
            f"{PAPER}, Table 1; {measured.dataset}; the tolerance, a fifth, is this project's",
            expected=expected,
            measured=phi[:, list(measured.sizes).index(m)].mean(),
            tolerance=0.2 * expected,
        )
        for ours, theirs in (("ResNet", "ResNet-18"), ("ViT", "ViT"))
        if (phi := measured.phi.get(ours)) is not None
        for m, expected in zip(PAPER_SIZES, PAPER_TABLE[theirs], strict=True)
        if m in measured.sizes
    ]


def _rows(runs: dict[str, dict[int, Runs]]) -> list[dict]:
    return [
        {
            "class": name,
            "outputs": k,
            "solved": found.solved,
            "error_of_smallest_loss": found.chosen,
            "errors": found.error.tolist(),
            "losses": found.loss.tolist(),
        }
        for name, by_k in runs.items()
        for k, found in by_k.items()
    ]
