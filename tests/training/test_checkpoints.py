"""Checkpoints: bit for bit, and never half of one."""

import errno
import os

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dynamics.errors import CapacityError, DataError
from dynamics.training.checkpoints import Checkpoints
from dynamics.training.optimisers import optimiser
from dynamics.training.state import initial_state

OPTIMISER = optimiser("adamw", 1e-3, steps=10, warmup=2, clip=1.0)


def state_at(step, value=1.0):
    params = {
        "kernel": jax.random.normal(jax.random.key(step), (4, 3)),
        "half": jnp.full((2,), value, jnp.bfloat16),
        "tiny": jnp.asarray([1e-45, -0.0], jnp.float32),
    }
    state = initial_state(params, OPTIMISER, jax.random.key(5, impl="rbg"), {"batch_stats": {"mean": jnp.ones(3)}})
    return state._replace(step=jnp.asarray(step, jnp.int32))


def same(one, other):
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert a.dtype == b.dtype
        if jnp.issubdtype(a.dtype, jax.dtypes.prng_key):
            a, b = jax.random.key_data(a), jax.random.key_data(b)
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


def test_everything_comes_back_bit_for_bit(tmp_path):
    recorder = {"eigenvalues": [np.arange(3.0)], "steps": [1, 2], "name": "layer 1", "nested": {"none": None}}
    Checkpoints(tmp_path).save(state_at(3), recorder)
    state, kept = Checkpoints(tmp_path).latest(state_at(0))
    same(state, state_at(3))
    np.testing.assert_array_equal(kept["eigenvalues"][0], np.arange(3.0))
    assert (kept["steps"], kept["name"], kept["nested"]) == ([1, 2], "layer 1", {"none": None})


def test_the_last_ones_are_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    assert checkpoints.latest(state_at(0)) is None
    for step in (1, 5, 12):
        checkpoints.save(state_at(step))
    assert checkpoints.steps() == [5, 12]
    checkpoints.clear()
    assert checkpoints.steps() == []


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty"])
def test_a_damaged_file_costs_some_steps_and_not_the_run(damage, tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(state_at(1))
    checkpoints.save(state_at(2))
    path = tmp_path / "step-00000002.checkpoint"
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        content[len(content) // 2] ^= 1
    path.write_bytes({"cut": content[: len(content) // 2], "flipped": content, "empty": b""}[damage])
    same(checkpoints.latest(state_at(0))[0], state_at(1))
    (tmp_path / "step-00000001.checkpoint").write_bytes(b"x")
    with pytest.raises(DataError, match="damaged"):
        checkpoints.latest(state_at(0))


@pytest.mark.parametrize("fails", ["write", "fsync", "rename"])
def test_a_full_disk_leaves_the_last_checkpoint_as_it_was(fails, tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(state_at(4))
    before = (tmp_path / "step-00000004.checkpoint").read_bytes()

    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if fails == "write":
        monkeypatch.setattr("dynamics.support.files._checksum", full)
    else:
        monkeypatch.setattr(os, {"fsync": "fsync", "rename": "replace"}[fails], full)
    with pytest.raises(CapacityError, match=r"step 9 .* \(No space left on device\); the one of step 4 stays"):
        checkpoints.save(state_at(9))
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000004.checkpoint"]
    assert (tmp_path / "step-00000004.checkpoint").read_bytes() == before
    same(checkpoints.latest(state_at(0))[0], state_at(4))


def test_a_write_that_fails_beside_the_caller_is_raised_by_wait(tmp_path, monkeypatch):
    checkpoints, state = Checkpoints(tmp_path), state_at(1)

    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", full)
        checkpoints.save(state, wait=False)
        assert checkpoints.steps() == []  # which waits for the write, and leaves its error where it belongs
    checkpoints.save(state_at(2), wait=False)
    with pytest.raises(CapacityError, match="step 1 could not be written"):
        checkpoints.wait()
    assert checkpoints.steps() == [2]


def test_what_a_killed_writer_left_is_removed(tmp_path):
    (tmp_path / "step-00000002.checkpoint.0123abcd.partial").write_bytes(b"half")
    assert Checkpoints(tmp_path).steps() == []
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(state_at(4))
    other = initial_state({"kernel": jnp.ones((4, 3))}, OPTIMISER, jax.random.key(0))
    with pytest.raises(DataError, match="another network or optimiser"):
        checkpoints.latest(other)
    wider = state_at(0)
    wider = wider._replace(params={**wider.params, "kernel": jnp.ones((5, 3))})
    with pytest.raises(DataError, match="another network or optimiser"):
        checkpoints.latest(wider)
    plain = initial_state(state_at(0).params, optax.sgd(0.1), jax.random.key(0), {"batch_stats": {"mean": 1.0}})
    with pytest.raises(DataError, match="another network or optimiser"):
        checkpoints.latest(plain)


@pytest.mark.parametrize("impl", ["threefry2x32", "rbg"])
def test_random_keys_that_a_network_keeps_are_saved_too(tmp_path, impl):
    def state(seed):
        kept = {"dropout": {"key": jax.random.key(seed, impl=impl)}, "many": jax.random.split(jax.random.key(seed), 3)}
        return initial_state({"w": jnp.ones(2)}, OPTIMISER, jax.random.key(seed, impl=impl), kept)

    Checkpoints(tmp_path).save(state(7))
    restored, _ = Checkpoints(tmp_path).latest(state(0))
    same(restored, state(7))
