"""Direct numerical minimisation: what every closed form is compared with."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize

from dynamics.support.precision import double_precision


def minimised(loss, features, dim, rng, starts=2, scale=1.0):
    """Lowest loss(ΦW) that L-BFGS finds from random starts, and ΦW."""
    with double_precision():
        Phi = jnp.asarray(features)
        evaluate = jax.jit(jax.value_and_grad(lambda w: loss(Phi @ w.reshape(-1, dim))))

        def objective(w):
            value, gradient = evaluate(jnp.asarray(w))
            return float(value), np.asarray(gradient)

        best = min(
            (
                scipy.optimize.minimize(
                    objective,
                    scale * rng.normal(size=features.shape[1] * dim),
                    jac=True,
                    method="L-BFGS-B",
                    options={"maxiter": 5000, "maxfun": 3000, "ftol": 1e-16, "gtol": 1e-9, "maxcor": 30},
                )
                for _ in range(starts)
            ),
            key=lambda found: found.fun,
        )
        return best.fun, features @ best.x.reshape(-1, dim)


def value(loss, Z, **settings):
    with double_precision():
        return float(partial(loss, **settings)(jnp.asarray(Z)))


def sine(A, B, center=True):
    """Sine of the largest angle between the column spans of A and B."""
    if center:
        A, B = A - A.mean(axis=0), B - B.mean(axis=0)
    Q, R = (scipy.linalg.orth(M, rcond=1e-9) for M in (A, B))
    assert Q.shape == R.shape, (Q.shape, R.shape)
    return float(np.linalg.norm(Q - R @ (R.T @ Q), 2))
