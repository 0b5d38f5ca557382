"""The command `study`: the claims of one paper."""

import os
from pathlib import Path
from typing import Annotated

import tyro

from dynamics.cli.console import show
from dynamics.cli.groups import Optionally, Switch
from dynamics.errors import ConfigError
from dynamics.studies import STUDIES

StudyName = Annotated[str, tyro.conf.arg(metavar="NAME", help=f"One of {', '.join(STUDIES)}."), tyro.conf.Positional]


def study(
    name: StudyName,
    out: Optionally[Path] = None,
    data_dir: Optionally[Path] = None,
    full: Switch = False,
    seed: int = 0,
    dataset: Optionally[str] = None,
    num_pairs: Optionally[int] = None,
    dim: Optionally[int] = None,
    init_scale: Optionally[float] = None,
    num_seeds: Optionally[int] = None,
    steps: Optionally[int] = None,
) -> None:
    """Test the claims of one paper and draw its figures.

    Parameters
    ----------
    name
        One of the studies that there are, such as stepwise.
    out
        Folder for the results; by default runs/study-NAME.
    data_dir
        Folder with the official files of the real data sets.
    full
        Use the paper's data and sizes.
    seed
        Seed of everything that is random.
    dataset
        Data set, for studies that leave it open.
    num_pairs
        Number of positive pairs n, in place of the study's own.
    dim
        Number of embedding dimensions d, in place of the study's own.
    init_scale
        Scale of the initial function, for studies that leave it open.
    num_seeds
        Number of repetitions, in place of the study's own.
    steps
        Number of updates of every training, in place of the study's own.
    """
    from dynamics.cli.tables import claims_line, claims_table
    from dynamics.studies import load_study, save_claims, study_settings
    from dynamics.support.compilation_cache import keep_compiled
    from dynamics.support.files import output_folder

    keep_compiled()
    chosen = {
        "dataset": dataset,
        "num_pairs": num_pairs,
        "dim": dim,
        "init_scale": init_scale,
        "num_seeds": num_seeds,
        "steps": steps,
    }
    settings = study_settings(name, {key: value for key, value in chosen.items() if value is not None})
    study_settings(name, {"seed": seed})
    if data_dir is not None and not os.path.isdir(data_dir):
        raise ConfigError(f"`data_dir` is {data_dir}, which is no folder; give the one that holds the official files.")
    folder = output_folder(out or Path(f"runs/study-{name}"))
    claims = load_study(name).run(folder, data_dir=data_dir, full=full, seed=seed, **settings)
    save_claims(claims, folder / "claims.json")
    show(claims_table(claims))
    show(f"\n{claims_line(claims)}\nResults in {folder}")
