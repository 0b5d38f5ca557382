"""The figure of a diagnosis: spectrum and loss against training steps, with what was found marked."""

from typing import TYPE_CHECKING

import numpy as np

from dynamics.diagnosis.log import Log
from dynamics.diagnosis.verdict import Diagnosis

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ALARM, _AHEAD = "#b91c1c", "#0e7490"


def diagnosis_figure(log: Log, diagnosis: Diagnosis) -> "Figure":
    """Eigenvalues on a logarithmic axis above the loss; red marks since when, blue where the next dimension is due."""
    import matplotlib.pyplot as plt

    panels = (log.spectrum is not None) + (log.loss is not None)
    figure, axes = plt.subplots(
        panels, 1, figsize=(5.5, 0.9 + 2.2 * panels), sharex=True, squeeze=False, layout="constrained"
    )
    rows = list(axes[:, 0])
    if log.spectrum is not None:
        _spectrum(rows.pop(0), log, diagnosis)
    if log.loss is not None:
        rows[0].plot(log.steps, log.loss, color="#1b1b1b", lw=1.2)
        rows[0].set_ylabel("loss")
    for axis in axes[:, 0]:
        _marks(axis, diagnosis)
    axes[-1, 0].set_xlabel("training step")
    axes[0, 0].set_title(_wrapped(diagnosis.sentences[0]), fontsize=9, loc="left")
    return figure


def _spectrum(axis: "Axes", log: Log, diagnosis: Diagnosis) -> None:
    spectrum = log.spectrum if log.covariance is None or log.correlation is None else log.correlation
    if diagnosis.state in ("collapsing", "shrinking") or spectrum is None:
        spectrum = log.spectrum
    assert spectrum is not None
    what = "cross-correlation" if spectrum is log.correlation else "covariance"
    shown = np.where(np.isfinite(spectrum) & (spectrum > 0), spectrum, np.nan)
    for k, values in reversed(list(enumerate(shown.T))):
        due = diagnosis.growing == k + 1
        axis.plot(log.steps, values, color=_AHEAD if due else "0.35", lw=1.6 if due else 0.8)
    if np.isfinite(shown).any():
        axis.set_yscale("log")
    axis.set_ylabel(f"eigenvalues of the\n{what}")


def _marks(axis: "Axes", diagnosis: Diagnosis) -> None:
    if diagnosis.since is not None:
        axis.axvline(diagnosis.since, color=_ALARM, lw=1)
    if diagnosis.due is not None:
        axis.axvline(diagnosis.due, color=_AHEAD, lw=1, ls="--")


def _wrapped(sentence: str) -> str:
    import textwrap

    return textwrap.fill(sentence, 70)
