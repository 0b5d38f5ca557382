"""The state of any self-supervised run, told from its log: on a plateau, stepping, converged, collapsing, diverging.

>>> import numpy as np
>>> from dynamics.diagnosis import Log, diagnose
>>> steps = np.arange(0, 1000, 50)
>>> first, second = np.full(20, 1.0), 1e-6 * np.exp(0.01 * steps)
>>> verdict = diagnose(Log(steps, correlation=np.stack([first, second], axis=1), objective="barlow-twins"))
>>> verdict.state, verdict.growing, round(verdict.due, -1)
('plateau', 2, 1310)
"""

from dynamics.diagnosis.diagnose import diagnose
from dynamics.diagnosis.figure import diagnosis_figure
from dynamics.diagnosis.log import Log, log_of
from dynamics.diagnosis.reading import read_log
from dynamics.diagnosis.verdict import Diagnosis

__all__ = ["Diagnosis", "Log", "diagnose", "diagnosis_figure", "log_of", "read_log"]
