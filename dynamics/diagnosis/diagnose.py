"""From a log to a diagnosis: the first rule that has something to say."""

from dynamics.diagnosis.log import Log, log_of
from dynamics.diagnosis.rules import collapsing, diverging, learning, loss_alone
from dynamics.diagnosis.verdict import Diagnosis
from dynamics.trajectories.trajectory import Trajectory

RULES = (diverging, collapsing, learning, loss_alone)


def diagnose(record: Log | Trajectory) -> Diagnosis:
    """Say in which state a run is at its last record.

    Parameters
    ----------
    record : Log or Trajectory
        Records of the run so far, such as `SpectrumRecorder.trajectory()`.

    Returns
    -------
    Diagnosis
        The state with sentences that explain it; `unknown` with fewer than six records.

    Raises
    ------
    DataError
        If a trajectory is a forecast and not a run.
    """
    log = log_of(record) if isinstance(record, Trajectory) else record
    for rule in RULES:
        if (diagnosis := rule(log)) is not None:
            return diagnosis
    return Diagnosis(
        "unknown",
        int(log.steps[-1]),
        (f"The log has {len(log.steps)} usable records; a diagnosis needs at least six.",),
        dims=log.dims,
    )
