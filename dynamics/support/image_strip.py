"""A strip of small images as one picture in a page, for notebooks: nothing has to be imported for it.

>>> import numpy as np
>>> image_strip(np.zeros((2, 3, 8, 8, 1)), "two rows of three").count("<img")
1
"""

import struct
import zlib
from base64 import b64encode
from html import escape

import numpy as np
from jaxtyping import Float, UInt8

_HEIGHT = 56  # of a row on the screen, in pixels
_GAP = 1


def image_strip(rows: Float[np.ndarray, "rows images height width channels"], caption: str) -> str:
    """Rows of images, scaled together from their smallest value to their largest, with a caption.

    Parameters
    ----------
    rows : array (r, k, H, W, C)
        Images of 1 or 3 channels.
    caption : str
        Text above the picture.
    """
    low, high = float(rows.min()), float(rows.max())
    grey = ((rows - low) / ((high - low) or 1.0) * 255).round().astype(np.uint8)
    framed = np.pad(grey, ((0, 0), (0, 0), (0, _GAP), (0, _GAP), (0, 0)), constant_values=255)
    many, each, height, width, channels = framed.shape
    pixels = framed.transpose(0, 2, 1, 3, 4).reshape(many * height, each * width, channels)
    picture = b64encode(_png(np.repeat(pixels, 3 // channels, axis=2))).decode()
    style = "image-rendering: pixelated"
    return (
        f'<div>{escape(caption)}<br><img alt="{escape(caption)}" height="{_HEIGHT * many}" style="{style}" '
        f'src="data:image/png;base64,{picture}"/></div>'
    )


def _png(pixels: UInt8[np.ndarray, "height width 3"]) -> bytes:
    """The picture as a PNG file of 8 bits a channel."""
    height, width = pixels.shape[:2]
    unfiltered = b"".join(b"\0" + row.tobytes() for row in pixels)
    parts = (
        (b"IHDR", struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(unfiltered)),
        (b"IEND", b""),
    )
    file = b"\x89PNG\r\n\x1a\n"
    for kind, data in parts:
        file += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return file
