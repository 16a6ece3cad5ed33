"""Digests and summaries are made while hosts think; the figures are those of writing up at once."""

import numpy as np
import pytest

from mos_agents.actors.runtime import LocalRuntime
from mos_agents.runs.tables import _quantiles
from tests.actors.worlds import SHOP, one_shard, undisturbed


class Elsewhere(LocalRuntime):
    """Does what may be done meanwhile before its hosts answer, as one with processes does."""

    def ask(self, asks, deadline):
        self.meanwhile()
        return super().ask(asks, deadline)


def test_what_is_written_up_while_hosts_think_is_what_is_written_up_at_once():
    found = []
    for runtime in (LocalRuntime(), Elsewhere()):
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


@pytest.mark.parametrize("markets", [1, 2, 3, 19, 20, 21, 100, 1024])
def test_quantiles_have_the_bits_of_numpys(markets):
    values = np.random.default_rng(markets).normal(size=(markets, 3)) * [1e-6, 1.0, 1e9]
    found = _quantiles(values, (0.05, 0.5, 0.95))
    assert np.stack(found).tobytes() == np.quantile(values, (0.05, 0.5, 0.95), axis=0).tobytes()
