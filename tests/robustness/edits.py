"""Run folders that were edited: every field of every file, missing or replaced, as `plot` and `report` find them."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from dynamics.support import archives

VALUES: tuple[Any, ...] = (None, 3, -1, 1e300, "x", "$\\frac{$", [], {}, True, [None], float("nan"), "\ud800")
ARRAYS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "nan": lambda a: a * np.nan,
    "infinite": lambda a: np.full(a.shape, np.inf),
    "complex": lambda a: a + 1j,
    "text": lambda a: a.astype(str),
    "integers": lambda a: np.zeros(a.shape, int),
    "scalar": lambda a: np.float64(1.0),
    "shorter": lambda a: a[:-1],
    "longer": lambda a: np.concatenate([a, a]),
    "narrower": lambda a: a[..., :-1],
    "empty": lambda a: a[:0],
    "deeper": lambda a: a[..., None],
    "descending": lambda a: a[::-1],
    "halved": lambda a: a / 2,
}
Edit = tuple[str, Callable[[], object]]


def edits(run: Path) -> Iterator[Edit]:
    """Edits of a run folder, each a name and a function that makes it; the caller puts the folder back."""
    compared = (run / "comparison.json").is_file()
    trajectories = sorted((run / "trajectories").glob("*.npz"))
    for path in (run / "config.json", run / "comparison.json", run / "modes.npz") if compared else ():
        yield from _json_edits(path) if path.suffix == ".json" else _archive_edits(path)
    for path in [path for path in trajectories if path.stem in ("ode", "network")] or trajectories:
        yield from _archive_edits(path)
    if not compared:
        return
    yield "a model with an odd name", lambda: (run / "trajectories/ode.npz").rename(run / "trajectories/$^.npz")
    yield "no measured run", lambda: (run / "trajectories/network.npz").unlink()
    yield "no trajectory", lambda: shutil.rmtree(run / "trajectories")
    yield "a folder for a file", lambda: ((run / "comparison.json").unlink(), (run / "comparison.json").mkdir())


def _json_edits(path: Path) -> Iterator[Edit]:
    content = json.loads(path.read_text())
    for keys in _places(content):
        name = f"{path.name}: {'.'.join(map(str, keys))}"

        def remove(keys: tuple = keys) -> None:
            changed = json.loads(path.read_text())
            _within(changed, keys[:-1]).pop(keys[-1])
            path.write_text(json.dumps(changed))

        yield f"{name} removed", remove
        for value in VALUES if len(keys) == 1 else VALUES[3:9:2]:

            def replace(keys: tuple = keys, value: Any = value) -> None:
                changed = json.loads(path.read_text())
                _within(changed, keys[:-1])[keys[-1]] = value
                path.write_text(json.dumps(changed))

            yield f"{name} = {value!r}", replace


def _places(content: Any, above: tuple = ()) -> Iterator[tuple]:
    """Keys of everything in a JSON file, to a depth of two, the first entry alone of a list."""
    items = content.items() if isinstance(content, dict) else enumerate(content[:1])
    for key, value in items:
        yield (*above, key)
        if isinstance(value, dict | list) and len(above) < 1:
            yield from _places(value, (*above, key))


def _within(content: Any, keys: tuple) -> Any:
    for key in keys:
        content = content[key]
    return content


def _archive_edits(path: Path) -> Iterator[Edit]:
    arrays, header = archives.load_npz(path, required=())
    for name in arrays:
        where = f"{path.parent.name}/{path.name}: {name}"
        yield f"{where} removed", _saving(path, {key: a for key, a in arrays.items() if key != name}, header)
        for kind, change in ARRAYS.items():
            if arrays[name].size:
                yield f"{where} {kind}", _saving(path, arrays | {name: change(arrays[name])}, header)
    for key in header:
        where = f"{path.name}: header {key}"
        yield f"{where} removed", _saving(path, arrays, {name: value for name, value in header.items() if name != key})
        for value in VALUES[:8]:
            yield f"{where} = {value!r}", _saving(path, arrays, header | {key: value})


def _saving(path: Path, arrays: dict[str, np.ndarray], header: dict[str, Any]) -> Callable[[], None]:
    return lambda: archives.save_npz(path, arrays, header)
