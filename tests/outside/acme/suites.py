"""Acme's parts under the suites of MOS Agents: `python -m pytest suites.py`."""

from acme_market.buyers import AcmePatient, AcmeReturning
from acme_market.sellers import AcmeDouble, AcmeLoyal

import mos_agents
from envs import retail_v0
from mos_agents.testing import (
    DemandSuite,
    EnvironmentSuite,
    LearnerSuite,
    PolicySuite,
    StageSuite,
)


class TestAcmePatient(DemandSuite):
    def make(self):
        return AcmePatient()


class TestAcmeReturning(StageSuite):
    def make(self):
        return mos_agents.pricing_game().with_parts(arrivals=AcmeReturning(30.0))


class TestAcmeShop(StageSuite):
    def make(self):
        return mos_agents.load("acme_shop", imports=["acme_market"]).market()


class TestAcmeDouble(PolicySuite):
    def make(self):
        return AcmeDouble()


class TestAcmeLoyal(LearnerSuite):
    def make(self):
        return AcmeLoyal(prices=4, features="own")


class TestAcmeEnvironment(EnvironmentSuite):
    def make(self, **settings):
        return retail_v0.parallel_env(scenario="acme_shop", agents=["acme"], **settings)
