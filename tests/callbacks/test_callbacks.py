"""Recorders in loops of other libraries, against the recorder of NumPy arrays; skipped where a library is missing."""

import sys

import numpy as np
import pytest

from dynamics.callbacks import TorchSpectrum, lightning_callback, nnx_embed, tensorboard_log, wandb_log
from dynamics.diagnosis import read_log
from dynamics.errors import ConfigError
from dynamics.training import SpectrumRecorder
from dynamics.trajectories import Trajectory

STEPS = 4


@pytest.fixture
def torch():
    library = pytest.importorskip("torch", reason="PyTorch is not installed, and the package does not need it")
    library.manual_seed(0)
    return library


@pytest.fixture
def network(torch):
    layers = torch.nn.Linear(5, 6), torch.nn.BatchNorm1d(6), torch.nn.Dropout(0.5), torch.nn.Linear(6, 3)
    return torch.nn.Sequential(*layers)


@pytest.fixture
def probe(torch, rng):
    return torch.tensor(rng.normal(size=(16, 5)), dtype=torch.float32)


def train(torch, network, probe, spectrum):
    """A loop of one's own, which keeps the embeddings that NumPy would have seen."""
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    spectrum.attach(optimizer)
    seen = [embeddings(torch, network, probe)]
    for _ in range(STEPS):
        optimizer.zero_grad()
        network(probe).square().mean().backward()
        optimizer.step()
        seen.append(embeddings(torch, network, probe))
    return seen


def embeddings(torch, network, probe):
    """In evaluation mode, by a copy."""
    import copy

    with torch.no_grad():
        return copy.deepcopy(network).eval()(probe).numpy()


def test_the_hook_records_what_the_network_makes_of_the_probe(torch, network, probe):
    logged = []
    spectrum = TorchSpectrum(network, probe, range(STEPS + 1), log=lambda step, numbers: logged.append((step, numbers)))
    seen = train(torch, network, probe, spectrum)
    by_hand = SpectrumRecorder(lambda F: F, range(STEPS + 1))
    for step, F in enumerate(seen):
        by_hand.record(step, F)
    measured, expected = spectrum.trajectory({"seed": 0}), by_hand.trajectory()
    np.testing.assert_array_equal(measured.steps, range(STEPS + 1))
    np.testing.assert_allclose(measured.eigenvalues, expected.eigenvalues, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(measured.metrics["lidar"], expected.metrics["lidar"], rtol=1e-4)
    assert [step for step, _ in logged] == list(range(STEPS + 1))
    assert logged[-1][1]["rankme"] == measured.metrics["rankme"][-1]
    assert logged[-1][1]["eigenvalue_1"] == measured.eigenvalues[-1, 0]


def test_recording_changes_neither_modes_nor_statistics_nor_gradients(torch, network, probe):
    network.train()
    network[1].eval()  # frozen statistics, as in fine-tuning
    before = {name: value.clone() for name, value in network.state_dict().items()}
    spectrum = TorchSpectrum(network, probe, [0, 1])
    spectrum.attach(torch.optim.SGD(network.parameters(), lr=0.1))
    assert network.training and network[2].training and not network[1].training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_updates_are_counted_by_hand_with_their_loss_and_a_removed_hook_is_silent(torch, network, probe):
    spectrum = TorchSpectrum(network, probe, [1, 2], embed=lambda model, x: {"embeddings": model(x), "x": x})
    spectrum.update(torch.tensor(2.5, requires_grad=True))
    assert spectrum.trajectory().loss.tolist() == [2.5] and "x" in spectrum.trajectory().hidden
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    spectrum.attach(optimizer).remove()
    optimizer.step()
    assert spectrum.updates == 1


def test_writers_have_their_own_methods():
    class Writer:
        def __init__(self):
            self.written = []

        def add_scalar(self, name, value, step):
            self.written.append((name, value, step))

        def log(self, numbers):
            self.written.append(numbers)

    board, run = Writer(), Writer()
    tensorboard_log(board)(3, {"rankme": 2.0})
    wandb_log(run)(3, {"rankme": 2.0})
    assert board.written == [("spectrum/rankme", 2.0, 3)]
    assert run.written == [{"trainer/global_step": 3, "spectrum/rankme": 2.0}]


def test_tensorboard_keeps_what_was_logged_and_diagnose_reads_it(torch, network, probe, tmp_path):
    """The real writer of PyTorch, and the files that it made, read by TensorBoard's own reader and by ours."""
    pytest.importorskip("tensorboard", reason="TensorBoard is not installed, and the package does not need it")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(tmp_path)
    spectrum = TorchSpectrum(network, probe, range(STEPS + 1), log=tensorboard_log(writer))
    train(torch, network, probe, spectrum)
    recorded = spectrum.trajectory()
    writer.close()
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    kept = events.Scalars("spectrum/rankme")
    assert [event.step for event in kept] == list(range(STEPS + 1))
    np.testing.assert_allclose([event.value for event in kept], recorded.metrics["rankme"], rtol=1e-6)
    log = read_log(tmp_path, eigenvalues="correlation")
    assert log.steps.tolist() == list(range(STEPS + 1))
    np.testing.assert_allclose(log.correlation, recorded.eigenvalues, rtol=1e-5, atol=1e-9)


def test_wandb_keeps_what_was_logged(tmp_path, monkeypatch):
    """The real package, offline."""
    wandb = pytest.importorskip("wandb", reason="Weights & Biases is not installed, and the package does not need it")
    monkeypatch.setenv("WANDB_SILENT", "true")
    run = wandb.init(mode="offline", dir=str(tmp_path), project="spectra")
    log = wandb_log(run)
    for step, value in ((0, 1.5), (20, 2.5)):
        log(step, {"rankme": value})
    kept = dict(run.summary)
    run.finish()
    assert kept["spectrum/rankme"] == 2.5 and kept["trainer/global_step"] == 20
    assert list(tmp_path.rglob("*.wandb"))


def test_a_missing_lightning_is_said_in_one_sentence(monkeypatch):
    for package in ("lightning", "lightning.pytorch", "pytorch_lightning"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match="not installed"):
        lightning_callback(None, 10)


def test_lightning_records_saves_and_goes_on(torch, probe, tmp_path):
    lightning = pytest.importorskip("lightning", reason="Lightning is not installed, and the package does not need it")

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.network = torch.nn.Linear(5, 3)

        def forward(self, x):
            return self.network(x)

        def training_step(self, batch):
            return {"loss": self(batch[0]).square().mean()}

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    class Failing(lightning.Callback):
        def on_train_batch_start(self, trainer, module, batch, batch_idx):
            if trainer.global_step == 2:
                raise RuntimeError("the job was killed")

    def fit(*callbacks):
        data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(probe), batch_size=16)
        quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
        module = Module()
        lightning.Trainer(max_epochs=STEPS, accelerator="cpu", callbacks=list(callbacks), **quiet).fit(module, data)
        return module

    callback = lightning_callback(probe, range(STEPS + 1), path=tmp_path / "run.npz")
    module = fit(callback)
    saved = Trajectory.load(tmp_path / "run.npz")
    assert saved.steps.tolist() == list(range(STEPS + 1)) and not saved.partial
    assert np.isfinite(saved.loss[1:]).all()
    with torch.no_grad():
        F = module(probe).numpy()
    centred = F - F.mean(0)
    expected = np.linalg.eigvalsh(centred.T @ centred / 16)[::-1]
    np.testing.assert_allclose(saved.covariance[-1], expected, rtol=1e-4)

    again = lightning_callback(probe, range(STEPS + 1))
    again.load_state_dict(callback.state_dict())
    np.testing.assert_array_equal(again.recorder.trajectory().eigenvalues, saved.eigenvalues)

    killed = lightning_callback(probe, range(STEPS + 1), path=tmp_path / "killed.npz")
    with pytest.raises(RuntimeError, match="killed"):
        fit(killed, Failing())
    partial = Trajectory.load(tmp_path / "killed.npz")
    assert partial.partial and partial.steps.tolist() == [0, 1, 2]


def test_an_nnx_module_is_embedded_in_evaluation_mode_and_left_as_it_is(rng):
    try:
        from flax import nnx
    except Exception as error:
        pytest.skip(f"Flax NNX does not import beside this JAX ({error})")
    probe = rng.normal(size=(8, 5)).astype("float32")

    class Network(nnx.Module):
        def __init__(self, rngs):
            self.linear, self.dropout = nnx.Linear(5, 3, rngs=rngs), nnx.Dropout(0.5, rngs=rngs)

        def __call__(self, x):
            return self.dropout(self.linear(x))

    network = Network(nnx.Rngs(0))
    recorder = SpectrumRecorder(nnx_embed(probe), [0])
    recorder.record(0, network)
    expected = probe @ np.asarray(network.linear.kernel[...]) + np.asarray(network.linear.bias[...])
    np.testing.assert_allclose(recorder.trajectory().embeddings[0], expected, rtol=1e-4, atol=1e-5)
    assert not network.dropout.deterministic
