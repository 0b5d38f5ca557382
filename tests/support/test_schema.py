"""Declared files: what does not fit is refused by file and field."""

import msgspec
import numpy as np
import pytest
from jaxtyping import Float, Int

from dynamics.errors import DataError
from dynamics.support.schema import ArrayField, as_record, check_arrays, load_record

DECLARED = {
    "t": ArrayField(Float[np.ndarray, " times"]),
    "u": ArrayField(Float[np.ndarray, "times dim"], finite=False),
    "k": ArrayField(Int[np.ndarray, " times"]),
    "more.*": ArrayField(Float[np.ndarray, "times _"]),
}
WHOLE = {"t": np.arange(3.0), "u": np.full((3, 2), np.nan), "k": np.arange(3), "more.a": np.ones((3, 9))}


def test_arrays_that_fit_pass_and_others_are_left_alone():
    check_arrays("x.npz", WHOLE | {"foreign": np.array("text")}, DECLARED)
    check_arrays("x.npz", {}, DECLARED)


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("t", np.arange(4.0)),
        ("t", np.array(1.0)),
        ("t", np.array([0.0, np.nan, 1.0])),
        ("t", np.array([0, 1, 2])),
        ("t", np.array(["0", "1", "2"])),
        ("t", np.arange(3.0) + 1j),
        ("u", np.ones((3, 2, 1))),
        ("k", np.ones(3)),
        ("more.a", np.full((3, 9), np.inf)),
    ],
)
def test_an_array_that_does_not_fit_is_named(name, array):
    with pytest.raises(DataError, match=rf"x\.npz: `{name}`|x\.npz: `u`"):
        check_arrays("x.npz", WHOLE | {name: array}, DECLARED)


class Record(msgspec.Struct):
    name: str
    sizes: list[int]


NO_RECORDS = (
    *(b"", b"{", b"\xff", b"null", b"[" * 100_000, b'{"name": "\xff", "sizes": []}', b'{"name": "a"}'),
    *(b'{"name": 1, "sizes": []}', b'{"name": "a", "sizes": [1.5]}', b'{"name": "a", "sizes": [1e999]}'),
    b'{"name": "\\udcff", "sizes": []}',
)


@pytest.mark.parametrize("content", NO_RECORDS, ids=lambda content: ascii(content[:30]))
def test_json_that_does_not_fit_is_refused_by_file(content, tmp_path):
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(DataError, match=r"x\.json: is not what dynamics wrote"):
        load_record(tmp_path / "x.json", Record)


def test_values_become_a_record():
    assert as_record("x", {"name": "a", "sizes": [1]}, Record) == Record("a", [1])
    with pytest.raises(DataError, match=r"x: .*sizes"):
        as_record("x", {"name": "a", "sizes": [None]}, Record)
