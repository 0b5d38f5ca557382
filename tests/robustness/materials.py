"""What is damaged: a run, a sweep, a recorder file, data sets, a checkpoint, a block of a Gram matrix; all tiny."""

import gzip
import json
import shutil
import struct
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

from dynamics.cli.main import main
from dynamics.experiment.config import Config
from dynamics.modes import contrastive_modes
from dynamics.runs.consistency import fingerprint
from dynamics.runs.settings import RunSettings, write_settings
from dynamics.runs.store import write_comparison, write_modes, write_trajectories
from dynamics.support import files
from dynamics.training import SpectrumRecorder
from dynamics.training.checkpoints import Checkpoints
from dynamics.training.state import apply_gradient, initial_state
from dynamics.trajectories.comparison import compare
from dynamics.trajectories.trajectory import Trajectory
from dynamics.views import Pairs

SMALL = [
    *("--network", "mlp", "--width", "16", "--depth", "1", "--num-pairs", "8", "--dim", "2"),
    *("--init-scale", "1e-2", "--steps", "40"),
]


def make_run(folder: Path, command: str = "compare", *more: str) -> Path:
    """A run folder with everything that a command writes."""
    assert main([command, *SMALL, *more, "--out", str(folder)]) == 0
    return folder


def make_up_run(folder: Path) -> Path:
    """A run folder of made-up numbers, for which nothing is compiled."""
    folder.mkdir(parents=True)
    views = np.random.default_rng(0).normal(size=(10, 30))
    modes = contrastive_modes(views @ views.T)
    t = np.linspace(0, 4, 9)
    u = 1 / (1 + np.exp(2 - 3 * t))
    courses = {
        name: Trajectory(t, np.stack([u, u / 2], axis=1), 1 - u, rung=name, steps=np.arange(9), metrics={"rankme": u})
        for name in ("ode", "network")
    }
    settings = RunSettings(
        kind="experiment",
        command="compare",
        config=Config(dim=2).to_dict(),
        title="made up",
        resolved={"num_pairs": 5, "learning_rate": 0.1},
        modes=fingerprint(modes),
    )
    write_settings(folder, settings)
    write_modes(folder, modes)
    write_trajectories(folder, courses)
    write_comparison(folder, compare(courses["network"], {"ode": courses["ode"]}, modes))
    return folder


def make_sweep(folder: Path, run: Path) -> Path:
    """A sweep of two runs, put together from one, so that no process is started."""
    config = json.loads((run / "config.json").read_text())["config"]
    axes = [{"name": "lr_fraction", "values": [0.05, 0.1]}]
    folder.mkdir()
    files.save_json(folder / "sweep.json", {"kind": "experiment", "config": config, "axes": axes})
    files.save_json(folder / "failed.json", {})
    for value in axes[0]["values"]:
        shutil.copytree(run, folder / "runs" / f"lr_fraction={value}")
    return folder


def recorder() -> SpectrumRecorder:
    probe = jnp.asarray(np.random.default_rng(0).normal(size=(12, 4)), jnp.float32)
    return SpectrumRecorder(
        lambda W: {"embeddings": probe @ W, "hidden": probe},
        steps=[0, 1, 2],
        kernel=lambda W: probe @ W @ W.T @ probe.T,
    )


def make_recorder_file(path: Path) -> Path:
    """The trajectory of a recorder in a loop of one's own."""
    recorded = _recorded()
    recorded.trajectory({"note": "mine"}).save(path)
    return path


def make_checkpoint(folder: Path) -> Path:
    """One checkpoint, with the records of a recorder."""
    state, optimiser = start(), optax.adam(0.1)
    for _ in range(3):
        state = apply_gradient(optimiser, state, jax.tree.map(jnp.ones_like, state.params))
    Checkpoints(folder).save(state, _recorded().state())
    (path,) = folder.glob("*.checkpoint")
    return path


def start():
    """The state that the checkpoint belongs to."""
    params = {"readout": {"kernel": jnp.ones((4, 3)), "bias": jnp.zeros(3)}}
    return initial_state(params, optax.adam(0.1), jax.random.key(0), {"mean": jnp.zeros(2)})


def make_block(path: Path) -> Path:
    """A row block of a Gram matrix."""
    files.save_array(path, np.random.default_rng(0).normal(size=(6, 9)))
    return path


def make_pairs(path: Path, **arrays) -> Path:
    """Pairs in an .npz."""
    rng = np.random.default_rng(0)
    Pairs(rng.normal(size=(8, 5)), rng.normal(size=(8, 5))).save(path)
    return path


def make_mnist(folder: Path, pack=lambda content: content, suffix: str = "") -> tuple[Path, Path]:
    """MNIST's images and labels, of 3×4 pixels."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (5, 3, 4)), np.arange(5)
    paths = folder / f"train-images-idx3-ubyte{suffix}", folder / f"train-labels-idx1-ubyte{suffix}"
    paths[0].write_bytes(pack(struct.pack(">4i", 2051, 5, 3, 4) + bytes(images.ravel().tolist())))
    paths[1].write_bytes(pack(struct.pack(">2i", 2049, 5) + bytes(labels.tolist())))
    return paths


def make_bomb(folder: Path, unpacked: int = 2**33) -> Path:
    """A gzipped MNIST file of a few megabytes that unpacks to 8 GiB, of which its header announces 48 bytes."""
    folder.mkdir(exist_ok=True)
    path, part = folder / "train-images-idx3-ubyte.gz", bytes(2**24)
    with gzip.open(path, "wb", compresslevel=1) as stream:
        stream.write(struct.pack(">4i", 2051, 4, 3, 4))
        for _ in range(unpacked // len(part)):
            stream.write(part)
    return path


def make_cifar(path: Path) -> Path:
    """A batch of CIFAR-10 with two records."""
    path.write_bytes(bytes([3]) + bytes(range(256)) * 12 + bytes([9]) + bytes(3072))
    return path


def _recorded() -> SpectrumRecorder:
    recorded = recorder()
    for step in range(3):
        recorded.record(step, jnp.full((4, 3), 0.1 + step), loss=1.0 / (1 + step), metrics={"accuracy": 0.5})
    return recorded
