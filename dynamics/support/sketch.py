"""A small drawing of curves as SVG, for notebooks: nothing has to be imported for it.

>>> import numpy as np
>>> sketch(np.array([0.0, 1.0]), np.array([[0.0], [1.0]]), "eigenvalues").count("<polyline")
1
"""

from html import escape

import numpy as np
from jaxtyping import Float

_WIDTH, _HEIGHT, _MARGIN, _POINTS = 320, 110, 4, 160


def sketch(times: Float[np.ndarray, " times"], curves: Float[np.ndarray, "times modes"], caption: str) -> str:
    """Curves against time, with a caption; values that are not finite are left out.

    Parameters
    ----------
    times : array (T,)
        Ascending.
    curves : array (T, k)
        One curve a column.
    caption : str
        Text above the drawing.
    """
    chosen = np.unique(np.linspace(0, max(len(times) - 1, 0), _POINTS).round().astype(int))[: len(times)]
    t, values = times[chosen], curves[chosen]
    finite = values[np.isfinite(values)]
    top = float(finite.max(initial=0.0)) or 1.0
    end = float(t[-1]) if len(t) and t[-1] > 0 else 1.0
    lines = []
    for j, curve in enumerate(values.T):
        shown = np.isfinite(curve)
        x = _MARGIN + (_WIDTH - 2 * _MARGIN) * t[shown] / end
        y = _HEIGHT - _MARGIN - (_HEIGHT - 2 * _MARGIN) * np.maximum(curve[shown], 0.0) / top
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
        hue = 260 - 210 * j / max(values.shape[1] - 1, 1)  # from violet, the first mode, to yellow
        lines.append(f'<polyline points="{points}" fill="none" stroke="hsl({hue:.0f},60%,45%)" stroke-width="1.3"/>')
    return (
        f'<div>{escape(caption)}<br><svg width="{_WIDTH}" height="{_HEIGHT}" role="img" aria-label="{escape(caption)}">'
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="none" stroke="#999"/>{"".join(lines)}</svg></div>'
    )
