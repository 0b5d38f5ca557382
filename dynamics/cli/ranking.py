"""The command `rank`: which augmentation will tell the classes apart, forecast for many of them."""

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from dynamics.cli.console import duration, print_json, save_figure, show
from dynamics.cli.groups import Switch, Unnamed, default_hint
from dynamics.cli.saved import SAVED
from dynamics.errors import ConfigError
from dynamics.experiment.config import Config
from dynamics.support.progress import note

if TYPE_CHECKING:
    from rich.table import Table

    from dynamics.ranking import AugmentationForecast, Ranking

Ranked = Annotated[
    tuple[str, ...], tyro.conf.arg(metavar="augmentations=A,B,…", help_behavior_hint=default_hint), tyro.conf.Positional
]

SAY_SECONDS = 30.0
"""Seconds between two lines about the course of a ranking, where no terminal shows a bar."""


def rank(
    vary: Ranked,
    config: Unnamed[Config],
    held_out: int = 1000,
    json: Switch = False,
    out: Path = Path("runs/rank"),
) -> None:
    """Rank augmentations by the accuracy that probes will have, without training anything.

    An augmentation is a recipe (simclr), a step with its strength (noise:.2), or several (crop:.5+flip+noise:.1). All
    make pairs of the same images for the same network. Probes are fitted to these images without augmentation, and
    tested on --held-out others.

    Parameters
    ----------
    vary
        Augmentations, such as augmentations=none,flip,crop:.5+noise:.1, and perhaps seeds, such as seed=0,1, over which
        accuracies are means.
    config
        Settings that all augmentations share.
    held_out
        Images on which probes are tested, or as many as are left.
    json
        Print one JSON object in place of the table.
    out
        Folder for the results; the same command goes on with a ranking that was stopped, and further augmentations
        are added to it.
    """
    from dynamics.ranking import rank_augmentations, ranking_figure
    from dynamics.support.compilation_cache import keep_compiled

    augmentations, seeds = _varied(vary)
    saved = SAVED.get()
    if saved is not None and config.augmentation == saved.config.augmentation:
        config = replace(config, augmentation=None)  # it is what varies now
    keep_compiled()
    ranking = rank_augmentations(augmentations, config, seeds=seeds, held_out=held_out, out=out, report=_course())
    save_figure(lambda: ranking_figure(ranking), out, "ranking")
    if json:
        content = {"dataset": ranking.dataset, "chance": ranking.chance, "augmentations": ranking.rows}
        print_json(content)
        return
    show(ranking_table(ranking))
    show(f"\n{_answer(ranking)}")
    show(f"\nResults in {out}: ranking.json, figure {out / 'ranking.png'}")


def ranking_table(ranking: "Ranking") -> "Table":
    """One line an augmentation, the best first: accuracy of both probes, γ of the first and last dimension, steps."""
    from rich.table import Table

    title = f"Accuracy on held-out images, forecast; by chance {ranking.chance:.1%}"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("augmentation", overflow="fold")
    several = ranking.rows[0]["seeds"] > 1
    heads = ("linear", *(("range over\nseeds",) if several else ()), "k-NN", "γ, first", "γ, last")
    for column in (*heads, "learned", "by step"):
        table.add_column(column, justify="right")
    for row in ranking.rows:
        finite = [step for step in row["steps"] if step < float("inf")]
        cells = [
            _share(row["linear_accuracy"]),
            *([f"{100 * row['linear_range']:.1f}"] if several else []),
            _share(row["knn_accuracy"]),
            f"{row['eigenvalues'][0]:.3g}",
            f"{row['eigenvalues'][-1]:.3g}",
            f"{row['learned']} of {len(row['steps'])}",
            f"{max(finite):,.0f}" if finite else "never",
        ]
        table.add_row(row["augmentation"], *cells)
    return table


def _answer(ranking: "Ranking") -> str:
    """Which augmentation comes first, and which cannot be told apart from it."""
    best, *rest = ranking.rows
    line = f"Forecast best: {best['augmentation']}."
    near = [row["augmentation"] for row in rest if best["linear_accuracy"] - row["linear_accuracy"] < 0.02]
    if near:
        line += f" Within two points of it: {', '.join(near)}."
    return line


def _share(accuracy: float) -> str:
    return "–" if accuracy != accuracy else f"{accuracy:.1%}"


def _varied(vary: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[int, ...] | None]:
    """Augmentations, and seeds if there are any, as axes of a sweep are written."""
    from dynamics.sweeps import parse_axis

    found: dict[str, tuple] = {}
    for text in vary:
        name, equals, values = text.partition("=")
        axis = parse_axis(f"augmentation={values}" if equals and name.strip("- ") == "augmentations" else text)
        if axis.name not in ("augmentation", "seed"):
            raise ConfigError(f"A ranking varies augmentations and seeds; give `{axis.name}` one value, as a setting.")
        if axis.name in found:
            raise ConfigError(f"`{text}` varies what another word varies; give all values at once.")
        found[axis.name] = axis.values
    if "augmentation" not in found:
        raise ConfigError("Name the augmentations to rank, such as augmentations=none,flip,crop:.5+noise:.1.")
    return found["augmentation"], found.get("seed")


def _course() -> Callable[["AugmentationForecast", int, float], None]:
    """Say how far the ranking is, where no terminal shows a bar."""
    said = time.monotonic()

    def report(found: "AugmentationForecast", left: int, seconds: float) -> None:
        nonlocal said
        if left and not sys.stderr.isatty() and time.monotonic() - said >= SAY_SECONDS:
            said = time.monotonic()
            note(f"{found.augmentation} done, {left} left, about {duration(seconds)}")

    return report
