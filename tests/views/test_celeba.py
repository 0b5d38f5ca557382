"""CelebA from files made here in the official layout."""

import numpy as np
import pytest
from PIL import Image

from dynamics.errors import DataError
from dynamics.views.celeba import load_celeba


@pytest.fixture
def folder(tmp_path, rng):
    """Five faces, each of one colour; 5_o_Clock_Shadow stands before the attributes that are read."""
    root = tmp_path / "celeba"
    (root / "img_align_celeba").mkdir(parents=True)
    names = [f"{k:06d}.png" for k in range(1, 6)]
    for k, name in enumerate(names):
        pixels = np.full((218, 178, 3), 40 * k, np.uint8)
        pixels[:35] = 255  # outside of the crop
        Image.fromarray(pixels).save(root / "img_align_celeba" / name)
    header = "5_o_Clock_Shadow Black_Hair Blond_Hair Brown_Hair Gray_Hair Male"
    rows = ["1 1 -1 -1 -1 1", "1 -1 1 -1 -1 -1", "-1 -1 -1 -1 1 1", "-1 1 1 -1 -1 -1", "1 -1 -1 -1 -1 1"]
    lines = [f"{name}  {row}" for name, row in zip(names, rows, strict=True)]
    (root / "list_attr_celeba.txt").write_text("\n".join(["5", header, *lines]) + "\n")
    parts = zip(names, (0, 0, 2, 0, 1), strict=True)
    (root / "list_eval_partition.txt").write_text("\n".join(f"{name} {part}" for name, part in parts))
    return tmp_path


def test_faces_and_attributes_of_a_split(folder):
    images, style = load_celeba(folder, split="train", size=16)
    assert images.images.shape == (3, 16, 16, 3) and images.images.dtype == np.float32
    np.testing.assert_allclose(images.images.mean(axis=(1, 2, 3)), np.array([0, 40, 120]) / 255, atol=1e-6)
    assert style["gender"].tolist() == [1, 0, 0] and style["hair"].tolist() == [0, 1, 4]
    test, style = load_celeba(folder / "celeba", split="test", limit=1)
    assert test.images.shape == (1, 64, 64, 3) and style["hair"].tolist() == [3]


def test_what_is_missing_is_named(folder, tmp_path):
    with pytest.raises(DataError, match="cannot be downloaded automatically"):
        load_celeba(None)
    with pytest.raises(DataError, match="no split `dev`"):
        load_celeba(folder, split="dev")
    (folder / "celeba" / "img_align_celeba" / "000002.png").write_bytes(b"broken")
    with pytest.raises(DataError, match=r"000002\.png: cannot be read as an image"):
        load_celeba(folder)
    (folder / "celeba" / "list_eval_partition.txt").unlink()
    with pytest.raises(DataError, match="holds no CelebA; put img_align_celeba/"):
        load_celeba(folder)
