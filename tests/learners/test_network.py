"""A trained network keeps its bits in any company, says the chance of what it does, and is refused
at a participant it was not made for."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from scipy import integrate, stats

from mos_agents.learners import Categorical, Gaussian, Layer, Network, QValues, Signature
from mos_agents.learners import TrainedNetwork as Trained
from mos_agents.learners.network import ACTIVATIONS, affine
from mos_agents.learners.trained import chance_of_points
from mos_agents.market.streams import Streams
from mos_agents.market.types import InputError
from mos_agents.policies import from_config, make, to_config
from mos_agents.rollout import rollout
from tests.learners.networks import network
from tests.policies.markets import auction, dealers, shop

SHOP, DEALERS, AUCTION = shop(), dealers(assets=2, ticks=30), auction()
HEADS = ("levels", "values", "gaussian", "clipped")
every_head = pytest.mark.parametrize("head", HEADS)


def affine_reference(x, weights, bias):
    """`affine` in plain numpy, the same bits."""
    y = np.repeat(bias[None, :], len(x), axis=0)
    for i in range(len(weights)):
        y = y + x[:, i : i + 1] * weights[i]
    return y


def everybody(market, head, explore=False, **parts):
    return {
        spec.name: Trained.of(network(spec, head, seed=n, **parts), explore)
        for n, spec in enumerate(market.specs)
    }


def seen(spec, rows, seed=1):
    return np.random.default_rng(seed).normal(10.0, 5.0, (rows, spec.size))


# --- the numbers ----------------------------------------------------------------------------------


def test_a_small_network_is_computed_as_by_hand():
    spec = Signature("x", "firm", 1, ("price",), (("own_ask", 2),))
    layers = (
        Layer([[1.0, -1.0], [2.0, 0.5]], [0.0, 1.0], "relu"),
        Layer([[1.0], [3.0]], [-1.0]),
    )
    made = Network(
        spec, layers, Gaussian([[0.0]], [[10.0]], log_std=[0.0]), [1.0, 0.0], [2.0, 1.0], clip=4.0
    )
    # x = (3, 9): (3 - 1) / 2 = 1 and 9 cut to 4; relu(1 + 8, -1 + 2 + 1) = (9, 2); 9 + 6 - 1
    assert made.forward(np.array([[3.0, 9.0]])) == [[14.0]]


@pytest.mark.parametrize("inputs", (1, 3, 4, 14))
def test_the_kernel_has_the_bits_of_its_twin_and_a_row_the_same_in_any_batch(inputs):
    rng = np.random.default_rng(inputs)
    x, weights, bias = (
        rng.normal(size=(9, inputs)),
        rng.normal(size=(inputs, 7)),
        rng.normal(size=7),
    )
    y = affine(x, weights, bias)
    assert np.array_equal(y, affine_reference(x, weights, bias))
    assert np.array_equal(y[4:5], affine(x[4:5], weights, bias))
    assert np.allclose(y, x @ weights + bias, rtol=1e-13, atol=1e-13)


def test_a_row_of_a_large_network_has_the_same_bits_alone_and_in_a_batch_of_any_size():
    spec = SHOP.specs[0]
    made, rows = network(spec, hidden=(64, 64)), seen(SHOP.specs[0], 257)
    whole = made.forward(rows)
    for size in (1, 2, 5, 64):
        assert np.array_equal(made.forward(rows[:size]), whole[:size])
        assert np.array_equal(made.forward(rows[100:][:size]), whole[100:][:size])


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_are_finite_everywhere_and_keep_a_rows_bits(activation):
    x = np.linspace(-800.0, 800.0, 37 * 41).reshape(37, 41)
    y = ACTIVATIONS[activation](x)
    assert np.isfinite(y).all()
    assert all(np.array_equal(y[i], ACTIVATIONS[activation](x[i : i + 1])[0]) for i in range(37))


# --- in the pool ---------------------------------------------------------------------------------


@every_head
@pytest.mark.parametrize("explore", (False, True))
@pytest.mark.parametrize("market", (SHOP, DEALERS, AUCTION), ids=("shop", "dealers", "auction"))
def test_a_market_has_the_same_bits_alone_and_in_any_company(market, head, explore):
    kept = {"series": ("action", "reward"), "seed": 4, "ticks": 12}
    policies = everybody(market, head, explore)
    batch = rollout(market, policies, markets=7, **kept)
    company = rollout(market, policies, markets=np.array([5, 2]), **kept)
    assert batch.faults == () and batch.refused == {}
    low = np.concatenate([spec.low for spec in market.specs])
    high = np.concatenate([spec.high for spec in market.specs])
    assert ((batch.series["action"] >= low) & (batch.series["action"] <= high)).all()
    for name in kept["series"]:
        assert np.array_equal(batch.series[name][:, [5, 2]], company.series[name])


@every_head
def test_without_exploring_an_action_has_chance_one_and_any_other_none(head):
    spec = SHOP.specs[1]
    policy, observation = Trained.of(network(spec, head)), seen(SHOP.specs[1], 6)
    action, memory = policy.act(spec, observation, None, Streams.of(0, 6, "x").at(0))
    assert memory is None and policy.atomic
    assert (policy.propensity(spec, observation, action, None) == 1.0).all()
    assert (policy.propensity(spec, observation, action + 0.01, None) == 0.0).all()


@pytest.mark.parametrize("head", ("levels", "values"))
def test_levels_are_drawn_as_often_as_their_propensity_says(head):
    spec, rows = shop(products=1).specs[0], 20_000
    policy = Trained.of(network(spec, head, levels=4), explore=True, epsilon=0.4)
    observation = np.repeat(seen(spec, 1), rows, axis=0)
    action, _ = policy.act(spec, observation, None, Streams.of(0, rows, "x").at(0))
    grid = policy.network.head.grid[0]
    chances = np.array(
        [
            policy.propensity(spec, observation[:1], point.reshape(1, 1, 1), None)[0]
            for point in grid
        ]
    )
    assert chances.sum() == pytest.approx(1.0, abs=1e-12) and (chances > 0.0).all()
    counts = [(action[:, 0, 0] == point[0]).sum() for point in grid]
    assert stats.chisquare(counts, rows * chances).pvalue > 1e-4
    assert policy.propensity(spec, observation[:1], grid[:1, None] + 0.1, None) == 0.0


@pytest.mark.parametrize("head", ("gaussian", "clipped"))
def test_the_density_of_numbers_is_that_of_what_is_drawn(head):
    spec, rows = shop(products=1).specs[0], 20_000
    policy = Trained.of(network(spec, head), explore=True)
    observation = np.repeat(seen(spec, 1), rows, axis=0)
    drawn = policy.act(spec, observation, None, Streams.of(0, rows, "x").at(0))[0].ravel()
    assert not policy.atomic
    (low,), (high,) = policy.network.head.low[0], policy.network.head.high[0]

    def density(price):
        return policy.propensity(spec, observation[:1], np.reshape(price, (1, 1, 1)), None)[0]

    edge = 1e-9 * (high - low)
    atoms = [density(low), density(high)] if head == "clipped" else [0.0, 0.0]
    for below in np.linspace(low + edge, high - edge, 6)[1:]:
        share = atoms[0] + integrate.quad(density, low + edge, below, limit=200)[0]
        share += atoms[1] if below == high - edge else 0.0
        seen_share = (drawn <= (high if below == high - edge else below)).mean()
        assert share == pytest.approx(seen_share, abs=4.0 * np.sqrt(0.25 / rows) + 1e-6)
    assert density(high + 1.0) == 0.0


def test_several_listings_are_chosen_apart_and_equal_points_count_together():
    head = Categorical(np.array([[[1.0], [2.0], [2.0]], [[1.0], [2.0], [3.0]]]))
    chances = np.array([[[0.5, 0.2, 0.3], [0.1, 0.1, 0.8]]])
    assert chance_of_points(head, chances, np.array([[[2.0], [3.0]]])) == pytest.approx(0.4)


# --- whose it is ----------------------------------------------------------------------------------


def refused(message, call, *arguments):
    with pytest.raises(InputError, match=message) as error:
        call(*arguments)
    assert "\n" not in str(error.value)


def test_another_participants_network_is_refused_in_a_line_that_says_what_differs():
    policy = Trained.of(network(SHOP.specs[0]))
    other = "firm_1: the network of firm_1: checkpoint of another scenario: "
    refused(f"{other}listings 2 when trained, 3 here", policy.start, shop(products=3).specs[0], 1)
    refused(
        other + "'rival_ask' observed as 4 numbers when trained, as 6 here",
        policy.start,
        shop(sellers=4).specs[0],
        1,
    )
    refused(
        "features price when trained, price/size here", policy.start, shop(sized=True).specs[0], 1
    )
    refused("role firm when trained, bidder here", policy.start, AUCTION.specs[0], 1)
    narrow = shop(quotes=replace(SHOP.quotes, high=16.0))
    refused(
        "price between 12 and 18 when trained, between 5 and 16 here",
        policy.start,
        narrow.specs[0],
        1,
    )
    assert policy.start(SHOP.specs[1], 1) is None  # a participant that is alike


SIGNATURE = Signature("x", "firm", 1, ("price",), (("own_ask", 2),))
GRID = np.array([[[1.0], [2.0]]])


@pytest.mark.parametrize(
    ("message", "change"),
    [
        ("layers=\\(\\) must hold one layer", {"layers": ()}),
        (
            "weights have shape \\(3, 2\\), must be \\(2, outputs\\)",
            {"layers": (Layer(np.zeros((3, 2)), np.zeros(2)),)},
        ),
        (
            "bias has shape \\(3,\\), must be \\(2,\\)",
            {"layers": (Layer(np.zeros((2, 2)), np.zeros(3)),)},
        ),
        (
            "weights holds nan, must be finite",
            {"layers": (Layer(np.full((2, 2), np.nan), np.zeros(2)),)},
        ),
        ("activation='step' must be one of", {"layers": (Layer(np.eye(2), np.zeros(2), "step"),)}),
        (
            "gives 2 numbers, but the head needs 1",
            {"head": Gaussian([[0.0]], [[1.0]], log_std=[0.0])},
        ),
        ("low is above high", {"head": Gaussian([[2.0]], [[1.0]])}),
        ("squash='sin' must be", {"head": Gaussian([[0.0]], [[1.0]], "sin")}),
        ("grid has shape \\(1, 1, 1\\)", {"head": QValues([[[1.0]]])}),
        ("scale=0 must be > 0", {"scale": [1.0, 0.0]}),
        ("shift has shape \\(1,\\)", {"shift": [1.0]}),
        ("clip=-1 must be > 0", {"clip": -1}),
        ("provenance must be plain facts", {"provenance": {"x": object()}}),
    ],
)
def test_a_network_that_cannot_be_is_refused_in_one_line(message, change):
    parts = {
        "signature": SIGNATURE,
        "layers": (Layer(np.eye(2), np.zeros(2)),),
        "head": Categorical(GRID),
    }
    Network(**parts)
    refused(message, lambda: Network(**(parts | change)))


def test_the_policy_takes_one_source_and_checks_its_parameters():
    refused("network.path=None must be the path", make, "network")
    refused("not both", lambda: make("network", path="a.npz", packed="aa"))
    refused("explore=1 must be true or false", lambda: make("network", path="a.npz", explore=1))
    refused("epsilon=2 must be a number in", lambda: make("network", path="a.npz", epsilon=2))
    refused("a.npz: cannot be read", make("network", path="a.npz").start, SHOP.specs[0], 1)
    refused("is no base64 text", make("network", packed="?").start, SHOP.specs[0], 1)


@every_head
def test_a_policy_made_from_its_own_parameters_or_pickled_plays_the_same(head):
    policy = Trained.of(network(SHOP.specs[0], head), explore=True)
    draws = Streams.of(0, 3, "x").at(5)
    observation = seen(SHOP.specs[0], 3)
    action, _ = policy.act(SHOP.specs[0], observation, None, draws)
    for other in (from_config(to_config(policy)), pickle.loads(pickle.dumps(policy))):
        assert other == policy
        assert np.array_equal(other.act(SHOP.specs[0], observation, None, draws)[0], action)
