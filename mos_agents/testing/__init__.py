"""Test suites for your own parts: inherit one, write `make`, and run pytest.

    from mos_agents.testing import DemandSuite
    from patient import PatientShoppers

    class TestPatientShoppers(DemandSuite):
        def make(self):
            return PatientShoppers()

Each test of a suite holds one promise that the package relies on. Where a promise is broken, the
test says which one and what to change. The package tests its own parts with the same suites. They
need pytest: the extra `testing`.
"""

import importlib.util

if importlib.util.find_spec("pytest") is None:
    raise ModuleNotFoundError(
        'mos_agents.testing needs pytest, which is not installed: pip install "mos-agents[testing]"'
    )

from mos_agents.testing.demand import DemandSuite
from mos_agents.testing.environments import BehaviourSuite, EnvironmentSuite, RenderSuite
from mos_agents.testing.learners import LearnerSuite
from mos_agents.testing.policies import PolicySuite
from mos_agents.testing.runtimes import RuntimeSuite
from mos_agents.testing.stages import StageSuite

__all__ = [
    "DemandSuite",
    "StageSuite",
    "PolicySuite",
    "LearnerSuite",
    "EnvironmentSuite",
    "BehaviourSuite",
    "RenderSuite",
    "RuntimeSuite",
]
