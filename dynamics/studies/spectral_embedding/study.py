"""Balestriero & LeCun (2022), Contrastive and Non-Contrastive SSL Recover Global and Local Spectral Embedding Methods.

Closed-form optima against the classical methods they are said to be, kernel flows from a small start against the closed
forms, ranks, what the relation teaches a downstream task, and a map of which method is best where. The paper's
recommendations differ between its versions (arXiv 2205.11508 and NeurIPS 2022); claims name the version. Sizes and data
are choices made here, and no figure of the paper is reproduced.
"""

from pathlib import Path

import numpy as np

from dynamics.studies.claims import Claim
from dynamics.studies.spectral_embedding.corrections import correction_claims
from dynamics.studies.spectral_embedding.downstream import downstream_claims
from dynamics.studies.spectral_embedding.figures import flows_figure, twins_figure
from dynamics.studies.spectral_embedding.flows import flow_claims
from dynamics.studies.spectral_embedding.landscape import explore, landscape_claims, landscape_figure
from dynamics.studies.spectral_embedding.probes import probe_relations, probes_figure
from dynamics.studies.spectral_embedding.ranks import rank_claims
from dynamics.studies.spectral_embedding.twins import find_twins, twin_claims, twin_pictures
from dynamics.support import files
from dynamics.views import load_images
from dynamics.views.datasets import check_images


def run(
    out: Path,
    *,
    data_dir: Path | None = None,
    full: bool = False,
    seed: int = 0,
    num_images: int = 150,
    num_seeds: int = 8,
) -> list[Claim]:
    """Test the claims and draw the figures.

    Parameters
    ----------
    out : Path
        Folder for figures (PNG and PDF) and the accuracies of all probes (JSON).
    data_dir : Path, optional
        Folder with the official MNIST files: adds the downstream part on MNIST.
    full : bool
        MNIST (downloaded if there is no `data_dir`) with 1,500 images. Takes minutes.
    seed : int
        Seed of the choice of images, of starts and of random tasks.
    num_images : int
        Number of digits on which closed forms and classical methods are compared.
    num_seeds : int
        Number of repetitions of the downstream part; the map of who is best where has at least 4.
    """
    out = Path(out)
    if full or data_dir is not None:
        check_images("mnist", data_dir)  # a missing file is reported before anything long begins
    digits = load_images("digits")
    chosen = np.random.default_rng(seed).permutation(len(digits))[:num_images]
    x = digits.images[chosen].reshape(num_images, -1).astype(np.float64)
    twins = find_twins(x, digits.labels[chosen], seed)
    files.save_figure(twins_figure(twin_pictures(twins), digits.labels[chosen]), out / "twins")
    flows, arrivals = flow_claims(x[:24], seed)
    sweep, ranks = rank_claims(x[:30], seed)
    files.save_figure(flows_figure(flows, sweep), out / "flows")
    claims = [*twin_claims(twins, len(x)), *arrivals, *ranks, *correction_claims(seed)]
    sizes = {"digits": ({"low": 100, "full": 500}, 500)}
    if full or data_dir is not None:
        sizes["mnist"] = ({"low": 100, "full": 1500 if full else 800}, 1000)
    for dataset, (images, num_test) in sizes.items():
        probes = probe_relations(
            dataset, data_dir=data_dir, images=images, num_test=num_test, num_seeds=num_seeds, seed=seed
        )
        files.save_figure(probes_figure(probes), out / f"downstream_{dataset}")
        files.save_json(out / f"downstream_{dataset}.json", probes.table())
        claims += downstream_claims(probes, num_seeds)
        found = explore(dataset, data_dir=data_dir, num_test=num_test, num_seeds=max(num_seeds, 4), seed=seed)
        files.save_figure(landscape_figure(found), out / f"landscape_{dataset}")
        files.save_json(out / f"landscape_{dataset}.json", found.table())
        claims += landscape_claims(found)
    return claims
