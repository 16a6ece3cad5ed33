"""Networks with arbitrary weights, for the tests that play them."""

from itertools import pairwise

import numpy as np

from mos_agents.learners import Categorical, Gaussian, Layer, Network, QValues, Signature


def network(spec, head="levels", hidden=(8,), levels=5, seed=0, **parts):
    """A network for a spec; its grid or bounds lie well within the participant's limits."""
    rng = np.random.default_rng(seed)
    listings, features = spec.action_shape
    opening = np.broadcast_to(spec.opening_price[:, None], (listings, features))
    low, high = np.maximum(spec.low, 0.8 * opening), np.minimum(spec.high, 1.2 * opening)
    if "spread" in spec.features:
        low, high = np.maximum(spec.low, -1.0), np.minimum(spec.high, 1.5)
    made = {
        "levels": lambda: Categorical(np.linspace(low, high, levels, axis=1)),
        "values": lambda: QValues(np.linspace(low, high, levels, axis=1)),
        "gaussian": lambda: Gaussian(low, high, "tanh"),
        "clipped": lambda: Gaussian(low, high, "clip", np.full(low.size, -0.5)),
    }[head]()
    sizes = (spec.size, *hidden, made.width)
    layers = [
        Layer(rng.normal(size=(a, b)) / np.sqrt(a), 0.1 * rng.normal(size=b), "tanh")
        for a, b in pairwise(sizes)
    ]
    layers[-1] = layers[-1]._replace(activation="identity")
    parts = {"shift": np.full(spec.size, 5.0), "scale": np.full(spec.size, 10.0)} | parts
    return Network(Signature.of(spec), tuple(layers), made, **parts)
