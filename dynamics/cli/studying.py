"""The command `study`: the claims of one paper, or of all."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import tyro

from dynamics.cli.console import show
from dynamics.cli.groups import Optionally, Switch
from dynamics.errors import ConfigError
from dynamics.studies import STUDIES
from dynamics.support.progress import note

ALL = "all"

_NAMES = f"One of {', '.join(STUDIES)}; or all, one after the other."
StudyName = Annotated[str, tyro.conf.arg(metavar="NAME", help=_NAMES), tyro.conf.Positional]


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
    force: Switch = False,
) -> None:
    """Test the claims of one study, or of all, and draw their figures.

    A study that has ended is read from its folder; `study all`, stopped and started again, goes on with the next.

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
    force
        Test the claims again, whatever the folder holds.
    """
    from dynamics.cli.tables import claims_table
    from dynamics.studies.claims import counted
    from dynamics.studies.outcome import carry_out
    from dynamics.support.compilation_cache import keep_compiled

    keep_compiled()
    chosen = {
        "dataset": dataset,
        "num_pairs": num_pairs,
        "dim": dim,
        "init_scale": init_scale,
        "num_seeds": num_seeds,
        "steps": steps,
    }
    _require_folder(data_dir)
    how = {"data_dir": data_dir, "full": full, "seed": seed, "force": force}
    settings = {key: value for key, value in chosen.items() if value is not None}
    if name == ALL:
        _all(out or Path("runs/study-all"), how, settings)
        return
    outcome = carry_out(name, out or Path(f"runs/study-{name}"), **how, **settings)
    show(claims_table(outcome.claims))
    show("\nThese claims were tested before; --force tests them again." if outcome.earlier else "")
    show(f"{counted(outcome.claims)}\nResults in {outcome.folder}")


def _all(folder: Path, how: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """Every study one after the other, each in a folder of its own, and a page that grows with them."""
    from dynamics.cli.tables import claims_table
    from dynamics.studies.claims import counted, failing_first
    from dynamics.studies.outcome import carry_out
    from dynamics.studies.page import studies_page

    if settings:
        raise ConfigError(f"`{next(iter(settings))}` belongs to single studies; give one by name.")
    outcomes = []
    for number, name in enumerate(STUDIES, start=1):
        note(f"Study {number} of {len(STUDIES)}: {name}")
        outcome = carry_out(name, folder / name, **how)
        note(f"  {counted(outcome.claims)}" + (" They were tested before." if outcome.earlier else ""))
        outcomes.append(outcome)
        studies_page(outcomes, folder / "report.html")
    claims = [claim for outcome in outcomes for claim in outcome.claims]
    missing = [claim for claim in failing_first(claims) if claim.verdict != "holds"]
    show(claims_table(missing) if missing else "")
    show(f"\n{counted(claims)} Those above are the others; all are in the report.\nReport in {folder / 'report.html'}")


def _require_folder(data_dir: Path | None) -> None:
    if data_dir is not None and not os.path.isdir(data_dir):
        raise ConfigError(f"`data_dir` is {data_dir}, which is no folder; give the one that holds the official files.")
