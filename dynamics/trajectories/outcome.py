"""How a run ended, as a value: what decides a message, an exit code or a resumption asks it and reads no sentence.

>>> Outcome.diverged(130).describe()
'the loss stopped being finite at step 130'
>>> Outcome().is_partial, Outcome.interrupted(7).is_partial
(False, True)
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Parameters
    ----------
    kind : {"finished", "interrupted", "diverged"}
        `finished` at its last step; `interrupted` by a signal; `diverged` because the loss stopped being finite.
    step : int, optional
        The step after which it was interrupted, or at which it diverged.
    """

    kind: Literal["finished", "interrupted", "diverged"] = "finished"
    step: int | None = None

    @staticmethod
    def interrupted(step: int) -> "Outcome":
        """Outcome of a run that a signal ended after this step."""
        return Outcome("interrupted", step)

    @staticmethod
    def diverged(step: int) -> "Outcome":
        """Outcome of a run whose loss at this step is not finite."""
        return Outcome("diverged", step)

    @property
    def is_partial(self) -> bool:
        """Whether the run ended before its last step."""
        return self.kind != "finished"

    def describe(self) -> str:
        """Say it in words that complete a sentence."""
        if self.kind == "interrupted":
            return f"interrupted after step {self.step}"
        if self.kind == "diverged":
            return f"the loss stopped being finite at step {self.step}"
        return "finished"


FINISHED = Outcome()
