"""Numbers out of range are refused by name, in one short sentence, whatever their type."""

from dataclasses import dataclass
from typing import Annotated

import pytest

from dynamics.errors import ConfigError
from dynamics.experiment.config import Config
from dynamics.support.bounds import Bounds, check_bounds


@dataclass
class Record:
    layers: tuple[Annotated[int, Bounds(0, 10, whole=True)], ...] | None = None
    share: Annotated[float, Bounds(0.0, 1.0, open_above=True)] = 0.5
    free: float = float("nan")


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"layers": (3, 11)}, "`layers` is 11; give a whole number from 0 to 10."),
        ({"layers": (-1,)}, "`layers` is -1; give a whole number from 0 to 10."),
        ({"share": 1.0}, "`share` is 1.0; give a number from 0 below 1."),
        ({"share": float("nan")}, "`share` is nan; give a number from 0 below 1."),
        ({"share": -1e-9}, "`share` is -1e-09; give a number from 0 below 1."),
    ],
)
def test_a_number_out_of_range_is_named(settings, sentence):
    with pytest.raises(ConfigError) as raised:
        check_bounds(Record(**settings))
    assert str(raised.value) == sentence


def test_numbers_in_range_and_numbers_without_bounds_pass():
    check_bounds(Record())
    check_bounds(Record(layers=(0, 10), share=0.0))


OUT_OF_RANGE = {
    "width": 10**20,
    "depth": 10**20,
    "dim": 10**21,
    "steps": 10**22,
    "seed": 10**23,
    "num_pairs": 0,
    "multiplier": 1e300,
    "kernel_memory": 1e300,
    "learning_rate": 1e-300,
    "init_scale": float("inf"),
    "lr_fraction": float("nan"),
}


@pytest.mark.parametrize("name", OUT_OF_RANGE)
def test_an_experiment_is_refused_before_it_is_prepared(name):
    with pytest.raises(ConfigError, match=f"`{name}` is .*; give a (whole )?number from"):
        Config(**{name: OUT_OF_RANGE[name]})
