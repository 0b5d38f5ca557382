"""The command `diagnose`: the state of any run, told from its log."""

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import tyro

from dynamics.cli.console import print_json, save_figure, show
from dynamics.cli.groups import Optionally, Switch, default_hint
from dynamics.errors import ConfigError

Logs = Annotated[tuple[Path, ...], tyro.conf.arg(metavar="LOG", help_behavior_hint=default_hint), tyro.conf.Positional]

COLLAPSED = 3
"""Exit code where a log shows a collapse, so that a job can stop itself."""


def diagnose(
    logs: Logs,
    eigenvalues: Literal["covariance", "correlation"] = "covariance",
    objective: Optionally[str] = None,
    dim: Optionally[int] = None,
    json: Switch = False,
    out: Optionally[Path] = None,
) -> int:
    """Say whether a run is on a plateau, stepping, converged, collapsing or diverging.

    A log is what any program recorded: the .npz of a recorder or the folder of a run; a table (.csv, .parquet, JSON
    lines) with the columns step, loss and eigenvalue_1, eigenvalue_2, …; a folder of embeddings (.npy, with the step in
    their names); or TensorBoard events. The command ends with the exit code 3 if it finds a collapse.

    Parameters
    ----------
    logs
        Files or folders.
    eigenvalues
        What the eigenvalues of a table are: of the covariance of the embeddings, or of the cross-correlation of
        partners.
    objective
        Objective of the run, if the log does not say it; barlow-twins is that of the theory.
    dim
        Number of embedding dimensions, if the log does not say it.
    json
        Print one JSON object a log, for machines.
    out
        Folder for the figures; none are drawn by default.
    """
    from dynamics.diagnosis import diagnose, diagnosis_figure, read_log
    from dynamics.support.files import output_folder

    if not logs:
        raise ConfigError("No log was named; give a file or a folder that a run wrote.")
    folder = None if out is None else output_folder(out)
    collapsed = False
    for path in logs:
        log = read_log(path, eigenvalues=eigenvalues, objective=objective, dim=dim)
        found = diagnose(log)
        collapsed |= found.state == "collapsing"
        if json:
            print_json({"log": str(path), **asdict(found)})
        else:
            show(f"{path}, step {found.step:,}: {' '.join(found.sentences)}")
        if folder is not None:
            save_figure(partial(diagnosis_figure, log, found), folder, f"diagnosis-{path.stem}")
    return COLLAPSED if collapsed else 0
