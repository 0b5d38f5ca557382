"""The official file formats, written by hand byte by byte."""

import struct

import numpy as np


def idx(array):
    header = struct.pack(">BBBB", 0, 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(np.uint8).tobytes()


def cifar_record(label, image):
    """Label, then the red plane row by row, then green, then blue."""
    planes = b"".join(bytes(int(image[i, j, c]) for i in range(32) for j in range(32)) for c in range(3))
    return bytes([label]) + planes


def cifar_batch(labels):
    return b"".join(bytes([label]) + bytes([label * 20]) * 3072 for label in labels)


def snapshot(folder):
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*") if path.is_file()}
