"""Rungs 0 to 3 of one experiment: its pairs, its network, the kernel that drives it, its forecast and its training.

An experiment is prepared in stages, one file each, and every stage takes what it needs and not the whole config:
`pairs`, `network`, `driving_kernel`, `multiplier`, `schedule`; `prepare` puts them together, `rungs` runs them.

>>> from dynamics.experiment import Config, forecast_trajectories, prepare
>>> experiment = prepare(Config(num_pairs=16, dim=3, network="mlp", width=32))
>>> sorted(forecast_trajectories(experiment))
['bilinear', 'closed_form', 'linearised', 'ode', 'relinearised']
"""

import lazy_loader

# loaded when they are used, so that the command line knows the settings without loading JAX
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
