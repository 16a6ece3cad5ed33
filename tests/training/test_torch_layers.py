"""PyTorch's modules and the layers made from them give the same numbers."""

import numpy as np
import pytest

from mos_agents.learners import Categorical, Network, Signature
from mos_agents.learners.network import ACTIVATIONS
from mos_agents.market.types import InputError

pytestmark = pytest.mark.train

nn = pytest.importorskip("torch.nn")


def through(layers, x):
    made = Network(
        Signature("x", "firm", 1, ("price",), (("own_ask", x.shape[1]),)),
        layers,
        Categorical(np.arange(1.0, 1.0 + layers[-1].weights.shape[1])[None, :, None]),
    )
    return made.forward(x)


@pytest.mark.parametrize("name", sorted(set(ACTIVATIONS) - {"identity"}))
def test_every_activation_is_pytorchs(name):
    import torch

    from mos_agents.training import torch_networks

    kind = {message: module for module, message in torch_networks.ACTIVATIONS.items()}[name]
    net = nn.Sequential(nn.Linear(5, 9), kind(), nn.Sequential(nn.Dropout(), nn.Linear(9, 4)))
    net = net.double().eval()
    x = np.random.default_rng(0).normal(0.0, 5.0, (7, 5))
    wanted = net(torch.from_numpy(x)).detach().numpy()
    assert np.allclose(through(torch_networks.layers_of(net), x), wanted, rtol=1e-12, atol=1e-12)


def test_heads_side_by_side_are_one_layer():
    import torch

    from mos_agents.training.torch_networks import joined, layers_of

    body, mean, spread = nn.Linear(3, 4), nn.Linear(4, 2), nn.Linear(4, 2, bias=False)
    layers = (*layers_of(body, nn.Tanh()), *joined(layers_of(mean), layers_of(spread)))
    x = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    middle = torch.tanh(body(torch.from_numpy(x)))
    wanted = torch.cat([mean(middle), spread(middle)], dim=1).detach().numpy()
    assert np.allclose(through(layers, x), wanted, atol=1e-6)


def test_what_is_no_layer_is_refused_in_one_line():
    from mos_agents.training.torch_networks import joined, layers_of

    for modules, message in (
        ([nn.Conv1d(1, 1, 1)], "Conv1d is no layer"),
        ([nn.LayerNorm(3)], "LayerNorm is no layer"),
        ([nn.Tanh()], "must follow a Linear layer"),
        ([nn.Linear(2, 2), nn.Tanh(), nn.ReLU()], "must follow a Linear layer"),
        ([nn.Linear(2, 2), nn.ELU(alpha=2.0)], "alpha must be 1.0"),
    ):
        with pytest.raises(InputError, match=message) as error:
            layers_of(*modules)
        assert "\n" not in str(error.value)
    with pytest.raises(InputError, match="one layer each"):
        joined(layers_of(nn.Linear(2, 2)), layers_of(nn.Linear(3, 2)))
