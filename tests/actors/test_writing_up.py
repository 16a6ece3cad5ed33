"""What is done while workers decide: digests, summaries, the next arrivals, with the same bits."""

import numpy as np
import pytest

from mos_agents import scenarios
from mos_agents.actors.env_server import EnvServer, EnvServerConfig
from mos_agents.actors.runtime import LocalRuntime
from mos_agents.market.arrivals import FixedMass
from mos_agents.market.streams import Streams
from mos_agents.market.tick import early_arrivals
from mos_agents.rollout import episode
from mos_agents.runs.tables import _quantiles
from tests.actors.worlds import SHOP, one_shard, undisturbed


class WorkWhileWaiting(LocalRuntime):
    """Does what may be done meanwhile before its workers answer, as one with processes does."""

    def ask(self, asks, deadline):
        self.while_waiting()
        return super().ask(asks, deadline)


def test_what_is_written_up_while_hosts_think_is_what_is_written_up_at_once():
    found = []
    for runtime in (LocalRuntime(), WorkWhileWaiting()):
        shard = one_shard(SHOP, runtime, recorded=2)
        shard.start()
        parts = [shard.advance(ticks) for ticks in (1, 3, 2)]
        assert [len(part.summaries) for part in parts] == [1, 3, 2]
        assert [part.tick for part in parts] == [1, 4, 6]
        found.append([one for part in parts for one in part.summaries])
        assert shard.digest.hexdigest() == undisturbed(SHOP, 6, 3)
    for one, two in zip(*found, strict=True):
        assert one.row.tick == two.row.tick
        assert one.means.tobytes() == two.means.tobytes()
        assert one.rewards.tobytes() == two.rewards.tobytes()


@pytest.fixture
def drawn(monkeypatch):
    """What clearing houses draw ahead."""
    found = []

    def noted(*arguments):
        found.append(early_arrivals(*arguments))
        return found[-1]

    monkeypatch.setattr(episode, "early_arrivals", noted)
    return found


@pytest.mark.parametrize("name", scenarios.presets())
def test_arrivals_drawn_while_hosts_think_are_those_drawn_after_the_quotes(name, drawn):
    scenario = scenarios.preset(name)
    shard = one_shard(scenario, WorkWhileWaiting())
    shard.start()
    shard.advance(5)
    assert len(drawn) == 5 and all(one is not None for one in drawn)
    assert shard.digest.hexdigest() == undisturbed(scenario, 5, 3)


class Curious(FixedMass):
    """As many buyers as the first price that stands is high."""

    def arrive(self, market, state, quotes, draws):
        arrivals, excitation = super().arrive(market, state, quotes, draws)
        return arrivals._replace(mass=arrivals.mass * quotes.ask[:, :1, None]), excitation


def test_arrivals_that_may_look_at_quotes_wait_for_them():
    scenario = scenarios.preset("pricing_game")
    market = scenario.market().with_parts(arrivals=Curious())
    assert early_arrivals(scenario.market(), market.start(2), Streams.of(0, 2).at(0)) is not None
    assert early_arrivals(market, market.start(2), Streams.of(0, 2).at(0)) is None


def test_an_environment_over_actors_draws_arrivals_while_its_hosts_think(drawn):
    market, policies = SHOP.market(), SHOP.policies()
    inside = {name: policies[name] for name in ("firm_1", "firm_2")}
    rewards = []
    for runtime in (LocalRuntime(), WorkWhileWaiting()):
        server = EnvServer(EnvServerConfig(market, inside, (0, 1)), runtime)
        server.begin(7)
        actions = np.broadcast_to(market.start(2).quotes.ask[:, :, None], (2, market.layout.L, 1))
        rewards.append(np.stack([server.advance(actions).reward for _ in range(4)]))
        assert len(drawn) == (4 if isinstance(runtime, WorkWhileWaiting) else 0)
    assert rewards[0].tobytes() == rewards[1].tobytes()


@pytest.mark.parametrize("markets", [1, 2, 3, 19, 20, 21, 100, 1024])
def test_quantiles_have_the_bits_of_numpys(markets):
    values = np.random.default_rng(markets).normal(size=(markets, 3)) * [1e-6, 1.0, 1e9]
    found = _quantiles(values, (0.05, 0.5, 0.95))
    assert np.stack(found).tobytes() == np.quantile(values, (0.05, 0.5, 0.95), axis=0).tobytes()
