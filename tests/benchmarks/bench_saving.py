"""What it takes to save the trajectory of a run: 200 records of 1,024 embeddings in 64 dimensions."""

import tempfile
from pathlib import Path

import numpy as np
from timing import Row, compare

from dynamics.support.archives import save_npz

RECORDS, VIEWS, DIM = 200, 1024, 64


def against_compression(quick: bool) -> list[Row]:
    """Ours, which stores large arrays as they are, against NumPy's compressed archive."""
    records = 20 if quick else RECORDS
    embeddings = np.random.default_rng(0).normal(size=(records, VIEWS, DIM)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = Path(folder) / "ours.npz", Path(folder) / "theirs.npz"
        calls = {
            "ours": lambda: save_npz(ours, {"embeddings": embeddings}),
            "np.savez_compressed": lambda: np.savez_compressed(theirs, embeddings=embeddings),
        }
        rows = compare(f"saving {records} records of {VIEWS} × {DIM} float32 embeddings", calls, 3)
        sizes = ours.stat().st_size / theirs.stat().st_size
    return [row.__class__(**{**row.__dict__, "limit": f"{sizes:.2f} times the bytes"}) for row in rows]
