"""What `import mos_agents` shows: the product's names, loaded when they are used."""

from __future__ import annotations

import ast
import pydoc
import subprocess
import sys
from pathlib import Path

import pytest

import mos_agents

ROOT = Path(mos_agents.__file__).parent
WANTED = [
    "retail",
    "market_making",
    "auction",
    "autos_1990",
    "pricing_game",
    "load",
    "presets",
    "make",
    "compare_policies",
    "play",
    "rollout",
    "runs",
    "analysis",
    "benchmarks",
    "Market",
    "tick",
]


@pytest.mark.parametrize("name", WANTED)
def test_dir_shows_the_product(name: str) -> None:
    assert name in dir(mos_agents)


@pytest.mark.parametrize("name", mos_agents.__all__)
def test_every_name_that_is_shown_is_there_and_is_documented(name: str) -> None:
    found = getattr(mos_agents, name)
    assert name == "__version__" or (found.__doc__ or "").strip()


def test_dir_shows_nothing_else() -> None:
    assert sorted(dir(mos_agents)) == sorted(mos_agents.__all__)


def test_the_presets_are_among_the_names() -> None:
    assert set(mos_agents.presets()) <= set(dir(mos_agents))


def test_a_name_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'rollouts'; it has .*rollout"):
        mos_agents.rollouts  # noqa: B018


def test_who_looks_for_the_environments_is_told_where_they_are() -> None:
    with pytest.raises(AttributeError, match="from envs import retail_v0"):
        mos_agents.envs  # noqa: B018


def test_help_tells_how_to_begin_and_names_everything() -> None:
    text = pydoc.plain(pydoc.render_doc(mos_agents))
    assert "rollout.rollout(market, policies, ticks=100, markets=50)" in text
    opening = (mos_agents.__doc__ or "")[:4000]
    names = [n for n in mos_agents.__all__ if n not in ("__version__", "InputError", "Scenario")]
    assert [name for name in names if name not in opening] == []


def test_the_example_of_the_help_runs(capsys: pytest.CaptureFixture[str]) -> None:
    lines = (mos_agents.__doc__ or "").splitlines()
    code = "\n".join(line[4:] for line in lines if line.startswith("    ") or not line)
    example = code[code.index("import mos_agents") : code.index("retail, market_making")]
    exec(compile(example, "the help", "exec"), {})
    assert "platform" in capsys.readouterr().out


def test_importing_it_loads_none_of_its_parts() -> None:
    program = "import sys, mos_agents; dir(mos_agents); print(*[m for m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT.parent, capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert {m for m in loaded if m.startswith("mos_agents.")} == set()
    assert loaded & {"numpy", "numba", "polars", "pydantic"} == set()


def test_a_type_checker_sees_the_same_names() -> None:
    tree = ast.parse((ROOT / "__init__.py").read_text())
    (typed,) = (n for n in tree.body if isinstance(n, ast.If))
    names = {a.name for n in typed.body if isinstance(n, ast.ImportFrom) for a in n.names}
    assert names | {"__version__"} == set(mos_agents.__all__)


@pytest.mark.parametrize("package", ["analysis", "games", "rollout", "runs", "policies"])
def test_the_entry_points_of_a_package_are_there_without_another_import(package: str) -> None:
    found = getattr(mos_agents, package)
    assert [name for name in found.__all__ if not hasattr(found, name)] == []
    assert len(found.__all__) > 5
