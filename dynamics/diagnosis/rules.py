"""The rules: each looks at a log and returns a diagnosis, or None if it has nothing to say.

Under a small start every dimension grows on its own, from the first step on, at a rate of its own: the log of an
eigenvalue of C rises by 8γ_j η a step until it is learned (Simon et al. 2023, eq. 9). That is what tells a plateau from
a collapse. On a plateau the next dimension is small but grows. In a collapse nothing that is small grows any more, or
what was large shrinks.

Thresholds chosen by eye, on runs other than those by which `tests/benchmarks/bench_diagnosis.py` judges them: a tenth
and a thousandth of the variance (`LOST`, `GONE`), two directions by participation ratio (`FEW`), a tenth of the largest
eigenvalue (`IN_USE`), a hundredfold loss (`EXPLODED`), and those of `dynamics.diagnosis.trend`.
"""

import numpy as np

from dynamics.diagnosis.log import Log
from dynamics.diagnosis.trend import FEWEST, LATELY, Trend, trend_of, window
from dynamics.diagnosis.verdict import Diagnosis
from dynamics.trajectories.metrics import participation_of_spectra

LOST = 0.1  # of the largest variance that the run has had: less than this, and falling, is a collapse
GONE = 1e-3  # of the largest variance: less than this is a collapse even if it does not fall any more
FEW = 2.0  # directions, by participation ratio: fewer than this, with nothing growing, is a collapse
IN_USE = 0.1  # of the largest eigenvalue: a direction above this is in use
EXPLODED = 100.0  # times the largest loss of the first half of the run: more than this is a divergence

_THEORY = "barlow-twins"


def diverging(log: Log) -> Diagnosis | None:
    """The loss or the embeddings are not finite, the loss has exploded, or the learning rate is above the limit."""
    since = _first_not_finite(log)
    excess = _excess(log, since)
    step = int(log.steps[-1] if since is None else log.steps[since])
    if since is not None or log.diverged:
        sentences = [f"Diverging: embeddings or loss are no longer finite at step {step:,}."]
    elif _exploded(log):
        sentences = [f"Diverging: at step {step:,} the loss is a hundred times what it was."]
    elif excess is not None:
        sentences = ["Diverging: the learning rate is too large for the run to settle."]
    else:
        return None
    if excess is not None:
        sentences.append(
            f"The largest eigenvalue of C grew as it does at a learning rate of {excess:.2g} times the stability "
            "limit 1/(4 γ₁): lower the learning rate by more than this factor."
        )
    else:
        sentences.append("Lower the learning rate; by how much cannot be told from records so far apart.")
    return Diagnosis("diverging", int(log.steps[-1]), tuple(sentences), since=step, dims=log.dims, excess=excess)


def collapsing(log: Log) -> Diagnosis | None:
    """Variance is lost in all directions, or in all but one."""
    if log.spectrum is None or len(log.steps) < FEWEST:
        return None
    return _variance_lost(log.steps, log.spectrum, log) or _one_direction(log.steps, log.spectrum, log)


def learning(log: Log) -> Diagnosis | None:
    """A dimension is rising, the next one is on its way, or nothing moves any more."""
    eigenvalues = log.spectrum if log.correlation is None else log.correlation
    if eigenvalues is None or len(log.steps) < FEWEST:
        return None
    step, dims = int(log.steps[-1]), eigenvalues.shape[1]
    trends = [trend_of(log.steps, u) for u in eigenvalues.T]
    now = eigenvalues[-1]
    level = 1.0 if log.objective == _THEORY else float(now[0])
    learned = int((now >= (0.5 if log.objective == _THEORY else IN_USE) * level).sum())
    of = f"{learned} of {log.dims} dimensions"
    lately = [trend_of(log.steps, u, LATELY) for u in eigenvalues.T[:learned]]
    rising = [k for k in range(learned) if trends[k].grows and lately[k].grows]
    small = [k for k in range(learned, dims) if trends[k].grows]
    if rising:
        names = _names(rising)
        sentence = f"Stepping: {names} {'is' if len(rising) == 1 else 'are'} rising; {of} are in use."
        return Diagnosis("stepping", step, (sentence,), learned=learned, dims=log.dims, growing=rising[0] + 1)
    if small:
        return _plateau(log, trends, now, level, small, learned, of)
    falling = [k for k in range(learned) if trends[k].falls]
    if falling:
        verb = "loses" if len(falling) == 1 else "lose"
        sentence = f"Shrinking: {_names(falling)} of the {learned} in use {verb} variance, and none grows."
        return Diagnosis("shrinking", step, (sentence,), learned=learned, dims=log.dims)
    sentences = [f"Converged: {of} are in use, and none has moved by 5 % in the last quarter of the run."]
    if learned == log.dims:
        sentences.append("All dimensions are used up: a wider embedding may learn more.")
    return Diagnosis("converged", step, tuple(sentences), learned=learned, dims=log.dims)


def loss_alone(log: Log) -> Diagnosis | None:
    """What a loss without eigenvalues tells: the height of a plateau under the loss of the theory, and little else."""
    if log.loss is None:
        return None
    finite = np.isfinite(log.loss)
    steps, loss = log.steps[finite], log.loss[finite]
    if len(loss) < FEWEST:
        return None
    late = loss[window(steps)]
    step, flat = int(log.steps[-1]), np.ptp(late) <= 0.05 * max(abs(float(np.ptp(loss))), 1e-12)
    if log.objective == _THEORY and log.dim is not None:
        missing = float(np.median(late))
        if flat and abs(missing - round(missing)) < 0.25 and 0 <= round(missing) <= log.dim:
            learned = log.dim - round(missing)
            sentence = (
                f"The loss stands at {missing:.2f} on a plateau, and plateaus are at d − r: {learned} of {log.dim} "
            )
            sentence += "dimensions are learned."
            state = "converged" if learned == log.dim else "plateau"
            return Diagnosis(state, step, (sentence,), learned=learned, dims=log.dim)
    course = "does not move" if flat else "falls" if late[-1] < late[0] else "rises"
    sentence = (
        f"The loss {course}. Whether this is a plateau, convergence or a collapse cannot be told without eigenvalues."
    )
    return Diagnosis("unknown", step, (sentence,), dims=log.dim)


def _plateau(
    log: Log, trends: list[Trend], now: np.ndarray, level: float, small: list[int], learned: int, of: str
) -> Diagnosis:
    arrivals = {k: float(np.log(0.5 * level / now[k]) / trends[k].rate) for k in small if now[k] > 0}
    k = min(arrivals, key=lambda k: arrivals[k]) if arrivals else small[0]
    step, rate = int(log.steps[-1]), trends[k].rate
    due = round(step + max(arrivals.get(k, 0.0), 0.0))
    doubling = np.log(2) / rate
    sentence = (
        f"On a plateau: {of} are in use, and dimension {k + 1} is growing; it doubles every {doubling:,.0f} steps and "
        f"is due at about step {due:,}."
    )
    return Diagnosis("plateau", step, (sentence,), learned=learned, dims=log.dims, growing=k + 1, rate=rate, due=due)


def _variance_lost(steps: np.ndarray, spectrum: np.ndarray, log: Log) -> Diagnosis | None:
    """All directions shrink: the variance is below a tenth of its largest value and falls, or next to nothing is left.

    Embeddings that were too large for their loss fall as well, but they stop at their scale.
    """
    variance = np.maximum(spectrum, 0).sum(axis=1)
    peak = int(variance.argmax())
    trend = trend_of(steps, variance)
    lost = variance[-1] < LOST * variance[peak] and trend.falls
    if not lost and (variance[-1] >= GONE * variance[peak] or trend.grows):
        return None
    since = int(steps[peak + np.flatnonzero(variance[peak:] >= 0.5 * variance[peak])[-1]])
    left = variance[-1] / variance[peak]
    sentences = (
        f"Collapsing: since step {since:,} the variance of the embeddings has fallen to {left:.2g} of its maximum.",
        "All embeddings are becoming one; what keeps partners apart from the rest is missing or too weak.",
    )
    return Diagnosis("collapsing", int(steps[-1]), sentences, since=since, learned=0, dims=log.dims)


def _one_direction(steps: np.ndarray, spectrum: np.ndarray, log: Log) -> Diagnosis | None:
    """One direction keeps the variance, has stopped rising, and nothing else grows."""
    if spectrum.shape[1] < 4:
        return None
    spectrum = np.maximum(spectrum, 0)
    ratios = np.nan_to_num(participation_of_spectra(spectrum), nan=np.inf)  # no variance is no direction
    rest = spectrum[:, 1:].sum(axis=1)
    others, first = trend_of(steps, rest), trend_of(steps, spectrum[:, 0])
    if not ratios[-1] < FEW or others.grows or (first.grows and not others.falls):
        return None
    if any(trend_of(steps, u).grows for u in spectrum[:, 1:].T[:FEWEST]):
        return None
    wide = np.flatnonzero(ratios >= FEW)
    since = int(steps[min(wide[-1] + 1, len(steps) - 1)] if len(wide) else steps[0])
    share = spectrum[-1, 0] / spectrum[-1].sum()
    sentences = (
        f"Collapsing to one direction: it holds {share:.0%} of the variance and most of it since step {since:,}, and "
        "none of the other directions grows.",
        "All embedding dimensions are learning the same; what decorrelates them is missing or too weak.",
    )
    return Diagnosis("collapsing", int(steps[-1]), sentences, since=since, learned=1, dims=log.dims)


def _first_not_finite(log: Log) -> int | None:
    bad = np.zeros(len(log.steps), bool)
    for values in (log.covariance, log.correlation):
        if values is not None:
            bad |= ~np.isfinite(values).all(axis=1)
    if log.loss is not None:
        bad |= np.isinf(log.loss)  # NaN is a loss that was not recorded, as at the first step
        if log.spectrum is None and len(log.loss) > 1:
            bad[-1] |= bool(np.isnan(log.loss[-1]))
    return int(np.flatnonzero(bad)[0]) if bad.any() else None


def _exploded(log: Log) -> bool:
    if log.loss is None:
        return False
    loss = np.abs(log.loss[np.isfinite(log.loss)])
    half = len(loss) // 2
    return half >= FEWEST // 2 and bool(loss[-1] > EXPLODED * loss[:half].max(initial=1e-12))


def _excess(log: Log, finite: int | None) -> float | None:
    """η over 1/(4γ₁), if C has grown from a small start by more than (1 + 4γη)² = 4 a step, as it does at the limit."""
    if log.correlation is None or log.objective != _THEORY:
        return None
    steps, u = log.steps[:finite], log.correlation[:finite, 0]
    small = (u[:-1] > 0) & (u[1:] > 0) & (u[1:] < 0.1)  # the loss does not slow the growth down yet
    if not small.any():
        return None
    growth = np.log(u[1:][small] / u[:-1][small]) / np.diff(steps)[small]
    excess = float(np.expm1(np.max(growth) / 2))
    return excess if excess > 1 else None


def _names(dimensions: list[int]) -> str:
    numbers = [str(k + 1) for k in dimensions]
    if len(numbers) == 1:
        return f"dimension {numbers[0]}"
    return f"dimensions {', '.join(numbers[:-1])} and {numbers[-1]}"
