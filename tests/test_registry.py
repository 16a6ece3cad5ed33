"""Names join from outside, by the user's word only; what does not fit is refused in one line."""

import pickle
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import mos_agents
from mos_agents import registry, scenarios, wording
from mos_agents.cli import run
from mos_agents.market.demand import Logit
from mos_agents.market.stages import Demand, ReferenceRule
from mos_agents.market.types import InputError
from mos_agents.policies.rules import CostPlus
from mos_agents.registry.kinds import ENTRIES, GRANTED, put_back

SHOP = "{import}name: shop\nticks: 3\nparticipants: [{name: a}, {name: b}]\ninstruments: 2\n"
MODEL = """
from dataclasses import dataclass
import mos_agents
from mos_agents.market.demand import Logit

open("imported", "a").write("x")

@mos_agents.register("demand", "calm")
@dataclass(frozen=True)
class Calm(Logit):
    pass
"""


@pytest.fixture(autouse=True)
def restored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever a test registers or imports is gone after it."""
    entries = {drawer: dict(kept) for drawer, kept in ENTRIES.items()}
    granted, modules, path = set(GRANTED), set(sys.modules), list(sys.path)
    monkeypatch.chdir(tmp_path)
    yield
    put_back(entries)
    GRANTED.intersection_update(granted)
    for name in set(sys.modules) - modules:
        if name.startswith("outside_"):
            del sys.modules[name]
    sys.path[:] = path


def scenario(imported: str = "", demand: str = "calm") -> Path:
    path = Path("shop.yaml")
    line = f"import: {imported}\n" if imported else ""
    execution = f"execution: {{kind: expected, demand: {{kind: {demand}}}}}\n"
    path.write_text(SHOP.replace("{import}", line) + execution)
    return path


def test_a_file_from_elsewhere_imports_nothing_without_the_users_word() -> None:
    Path("outside_a.py").write_text(MODEL)
    with pytest.raises(InputError, match=r"add imports=\['outside_a'\]") as refused:
        scenarios.load(scenario("outside_a"))
    assert "\n" not in str(refused.value)
    assert not Path("imported").exists()
    loaded = scenarios.load(scenario("outside_a"), imports=["outside_a"])
    assert Path("imported").read_text() == "x"
    assert type(loaded.market().execution.demand).__name__ == "Calm"


def test_a_package_that_is_loaded_already_is_not_imported_by_a_file_either() -> None:
    with pytest.raises(InputError, match="import='json' would run code"):
        scenarios.load(scenario("json", "logit"))


def test_a_scenario_names_the_modules_that_it_needs_and_travels_with_them() -> None:
    Path("outside_b.py").write_text(MODEL)
    loaded = scenarios.load(scenario(), imports=["outside_b.py"])
    assert loaded.modules == ("outside_b",)
    assert scenarios.parse(scenarios.dump(loaded)) == loaded
    assert pickle.loads(pickle.dumps(loaded)) == loaded
    assert "\nimport:" in "\n" + scenarios.commented(loaded)
    changed = scenarios.override(loaded, ["execution.demand.scale=0.5"])
    assert changed.execution.demand.scale == 0.5
    with pytest.raises(InputError, match="'scal' is not a key here; did you mean 'scale'"):
        scenarios.override(loaded, ["execution.demand.scal=0.5"])
    with pytest.raises(InputError, match=r"must be a number"):
        scenarios.override(loaded, ["execution.demand.scale='a'"])
    with pytest.raises(InputError, match="did you mean 'calm'"):
        scenarios.override(loaded, ["execution.demand=clam"])


def test_a_module_that_fails_leaves_nothing_behind() -> None:
    Path("outside_c.py").write_text(MODEL + "\nraise ValueError('half\\nway')")
    with pytest.raises(InputError, match="import outside_c: it fails with ValueError: half way"):
        registry.load("outside_c")
    assert registry.find("demand", "calm") is None
    Path("outside_d.py").write_text("x = 1")
    with pytest.raises(InputError, match="import outside_d: the module registers nothing"):
        registry.load("outside_d")
    with pytest.raises(InputError, match="there is no module 'outside_e'"):
        registry.load("outside_e")
    with pytest.raises(InputError, match="there is no such file"):
        registry.load("models/outside_f.py")
    with pytest.raises(InputError, match="must be a module"):
        registry.load("../up")


def test_what_does_not_fit_is_refused() -> None:
    class NotFrozen:
        def shares(self) -> None: ...

    @dataclass(frozen=True)
    class NoBase:
        pass

    @dataclass(frozen=True)
    class NoVerb(Demand):
        pass

    @dataclass(frozen=True)
    class Hides(ReferenceRule):
        sigma: float

        def move(self, market, state, draws): ...

    for kind, name, thing, why in (
        ("demands", "x", Logit, "did you mean 'demand'"),
        ("demand", "My Model", Logit, "must be small letters"),
        ("demand", "logit", NoBase, "must inherit from Demand: from mos_agents.market.stages"),
        ("demand", "logit", NoVerb, "NoVerb has no choice, shares; write it"),
        ("reference", "x", Hides, "sigma is a property of ReferenceRule: give the parameter a"),
        ("demand", "x", NotFrozen, "must be a frozen dataclass"),
        ("demand", "x", Logit(), "must be a class, not an object"),
        ("demand", "elasticity", Logit, "'elasticity' is registered already, by mos_agents"),
        ("policy", "sarsa", CostPlus, "'sarsa' is registered already, by mos_agents"),
        ("learner", "x", CostPlus, "CostPlus has no learn; write it"),
        ("scenario", "retail", __file__, "'retail' is registered already"),
        ("scenario", "x", "nowhere.yaml", "must be the path of a scenario file"),
    ):
        with pytest.raises(InputError, match=why) as refused:
            mos_agents.register(kind, name, thing)
        assert "\n" not in str(refused.value)


def test_the_same_definition_may_be_run_again() -> None:
    for _ in range(2):  # a notebook's cell

        @mos_agents.register("demand", "again")
        @dataclass(frozen=True)
        class RepeatedName(Logit):
            pass

    assert registry.find("demand", "again") is RepeatedName


def test_a_class_whose_parameters_no_file_can_hold_is_refused_when_it_is_named() -> None:
    @mos_agents.register("demand", "odd")
    @dataclass(frozen=True)
    class Odd(Logit):
        held: np.ndarray | None = None

    with pytest.raises(InputError, match="demand 'odd': Odd has a parameter whose type"):
        scenarios.load(scenario(demand="odd"))


def test_what_is_registered_is_explained() -> None:
    Path("outside_g.py").write_text(MODEL)
    registry.load("outside_g")
    assert "calm (demand)" in str(scenarios.explain("calm"))
    assert "calm" in str(scenarios.explain(kind="demand"))


def test_a_preset_of_ones_own_is_listed_and_loaded_by_its_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    mos_agents.register("scenario", "outside_shop", scenario(demand="logit"))
    assert run(["scenarios"]) == 0
    assert re.search(r"outside_shop +\(its file has no description\)", capsys.readouterr().out)
    with pytest.raises(AttributeError, match=r"mos_agents.load\('outside_shop'\).market\(\)"):
        mos_agents.outside_shop  # noqa: B018


def test_the_call_that_continues_a_command_names_its_modules() -> None:
    with wording.shell_words():
        for module in ("models/my patient.py", "acme", "acme"):
            wording.note_import(module)
        assert wording.resuming("run", "one") == (
            "mos run --resume one --import 'models/my patient.py' --import acme"
        )
    with wording.shell_words():
        assert wording.resuming("run", "one") == "mos run --resume one"
    assert wording.resuming("run", "one") == "lab.resume('one')"
