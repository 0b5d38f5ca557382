"""What every rung of the ladder returns, what is measured of it, and how two of them are compared."""

from dynamics.trajectories.comparison import Comparison, compare, distinct_steps, half_times, step_times
from dynamics.trajectories.trajectory import Trajectory

__all__ = ["Comparison", "Trajectory", "compare", "distinct_steps", "half_times", "step_times"]
