"""What the repository claims about itself, checked: the lock, the imports, the loading of files.

Every rule over the source is a function from source text to a list of complaints. It is run twice:
over the packages, which must give none, and over small faults, each of which it must see.
"""

import ast
import functools
import graphlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
parsed = functools.cache(ast.parse)  # many rules read the same files
PACKAGES = ("mos_agents", "envs", "experiments")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCKS = {
    name: (ROOT / name).read_text()
    for name in ("requirements.lock", "requirements-train.lock", "requirements-docs.lock")
}

CHAIN = (
    "market",
    "policies",
    "learners",
    "games",
    "rollout",
    "actors",
    "envs",
    "training",
    "experiments",
)
"""Each part knows only what stands to its left."""

RIM = {"lab", "cli"}
"""May know everything inside `mos_agents`."""

KNOWS = {part: set(CHAIN[:i]) for i, part in enumerate(CHAIN)}
KNOWS["runs"] = {"market"}
KNOWS["tasks"] = {"market", "runs"}  # results of tasks are kept as a run's files are
KNOWS["games"] |= {"runs", "tasks"}  # long plays are tasks, which leave sessions in a folder
KNOWS["learners"].add("runs")  # a memory on disk is written and checked as a run's files are
KNOWS["scenarios"] = {"market", "policies", "learners"}  # a scenario names both by their kinds
KNOWS["scenarios"].add("runs")  # its files are opened as a run's are: no devices, no FIFOs
KNOWS["actors"] |= {"runs", "tasks"}  # the journal is part of a run's folder; tasks run on Ray
KNOWS["analysis"] = {"market", "runs"}
KNOWS["scenarios"].add("analysis")  # `explain` tells what the screens of an audit ask
KNOWS["report"] = {"market", "runs", "analysis"}
KNOWS["corpus"] = {"market", "learners", "games", "analysis"}  # screens are measured on it
for part in ("actors", "rollout", "envs", "training", "experiments"):
    KNOWS[part].add("scenarios")  # a scenario is what they are made from
KNOWS["envs"].add("report")  # for a picture of the market, and then lazily: see LAZY
KNOWS["rollout"].add("analysis")  # a comparison comes with its interval
KNOWS["training"] |= {"runs", "analysis"}  # its folder is kept as a run's is
KNOWS["sweeps"] = set(CHAIN[: CHAIN.index("envs")]) | {
    "scenarios",
    "runs",
    "tasks",
    "analysis",
    "training",
}
KNOWS["experiments"] |= {"runs", "tasks", "analysis", "report", "training"}
KNOWS["registry"] = {"market", "wording"}
KNOWS["wording"] = set()
KNOWS["trees"] = {"market"}
for part in KNOWS.keys() - {"registry", "market", "wording", "trees"}:
    KNOWS[part].add("trees")  # nested records of arrays: memories, states, files of both
    KNOWS[part].add("registry")  # names for classes: who reads a name looks it up there
    KNOWS[part].add("wording")  # how messages name settings, in Python and on the command line
KNOWS |= {part: (set(KNOWS) | RIM) - {"envs"} for part in RIM}
KNOWS["testing"] = {*KNOWS["actors"], "actors", "envs"}  # and nobody knows it
KNOWS["lab"].discard("cli")  # what Python users call neither parses nor prints

LAZY = {("envs", "report"), ("lab", "experiments")}
"""Who may import what only inside a function: drawing loads matplotlib, and experiments are asked
for by one command, from a checkout that has them."""

HOMES = {
    "ray": (
        "mos_agents/actors/ray",
        "mos_agents/training",
        "experiments/benchmarks/actors.py",
        "experiments/benchmarks/training.py",
    ),
    "torch": ("mos_agents/training", "experiments"),
    "matplotlib": ("mos_agents/report",),
    "pettingzoo": ("envs", "experiments", "mos_agents/testing"),
    "pytest": ("mos_agents/testing",),
}
"""The heavy libraries, and the only files or folders that import them."""

UNSAFE_MODULES = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
PICKLES_ITS_OWN = "mos_agents/testing/environments.py"
"""It pickles an environment that it has just made, and reads no file."""
UNSAFE_CALLS = {"eval", "exec"}
SAFE_YAML = {"safe_load", "safe_load_all", "SafeLoader", "CSafeLoader"}
"""The loading in yaml that builds no object of the file's choosing."""


# --- reading the source ---------------------------------------------------------------------------


def sources() -> list[Path]:
    """The Python files of the packages, relative to the root."""
    return sorted(
        path.relative_to(ROOT)
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if "__pycache__" not in path.parts
    )


def dotted(path: Path) -> str:
    """The module's name: `mos_agents/market/tick.py` is `mos_agents.market.tick`."""
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path, source: str) -> Iterator[tuple[str, int, bool]]:
    """Every imported name, dotted and absolute, with its line and whether a function holds it.

    `from a.b import c` gives `a.b.c`, whether `c` is a module or something inside one.
    """
    package = path.parent.parts

    def walk(node: ast.AST, lazy: bool) -> Iterator[tuple[str, int, bool]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                yield from ((alias.name, child.lineno, lazy) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                base = package[: len(package) - child.level + 1] if child.level else ()
                stem = ".".join([*base, *([child.module] if child.module else [])])
                yield from ((f"{stem}.{a.name}", child.lineno, lazy) for a in child.names)
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from walk(child, lazy or inside)

    yield from walk(parsed(source), False)


def part_of(name: str) -> str | None:
    """The part of the project that a dotted name belongs to; None outside the project."""
    top, *rest = name.split(".")
    if top == "mos_agents":
        return rest[0] if rest else "mos_agents"
    return top if top in PACKAGES else None


# --- the rules ------------------------------------------------------------------------------------


def against_the_order(path: Path, source: str) -> list[str]:
    """Imports of a part that this one must not know."""
    part = part_of(dotted(path))
    if part == "mos_agents":  # the package's own door shows what it likes
        return []
    if part not in KNOWS:
        return [f"{path}: the part {part!r} has no place in KNOWS"]
    complaints = []
    for name, line, lazy in imports(path, source):
        other = part_of(name)
        if other in (None, part) or name == "mos_agents.__version__":
            continue
        if other not in KNOWS[part]:
            complaints.append(f"{path}:{line}: {part} must not know {other} ({name})")
        elif (part, other) in LAZY and not lazy:
            complaints.append(f"{path}:{line}: {part} may import {other} only inside a function")
    return complaints


def away_from_home(path: Path, source: str) -> list[str]:
    """Imports of a heavy library outside the one place it belongs to."""
    return [
        f"{path}:{line}: {name} belongs to {', '.join(homes)}"
        for name, line, _ in imports(path, source)
        if (homes := HOMES.get(name.split(".")[0]))
        and not any(path.is_relative_to(home) for home in homes)
    ]


def undeclared(path: Path, source: str) -> list[str]:
    """Imports of packages that an installation of this project would not bring."""
    # pydantic brings its core in one exact version, and names it in its documentation.
    distributions = {"yaml": "pyyaml", "pydantic_core": "pydantic"}
    extras = PROJECT["optional-dependencies"]
    declared = {
        canonicalize_name(Requirement(text).name)
        for texts in (
            PROJECT["dependencies"],
            # experiments are run from a checkout, whose environment has the developers' tools
            *(
                extras[extra]
                for extra in extras
                if extra != "dev" or path.parts[0] == "experiments"
            ),
        )
        for text in texts
    }
    complaints = []
    for name, line, _ in imports(path, source):
        top = name.split(".")[0]
        if top in sys.stdlib_module_names or top in PACKAGES:
            continue
        if canonicalize_name(distributions.get(top, top)) not in declared:
            complaints.append(f"{path}:{line}: {top} is not a dependency in pyproject.toml")
    return complaints


def unsafe_yaml(name: str) -> bool:
    return "load" in name.lower() and name not in SAFE_YAML


def unsafe(path: Path, source: str) -> list[str]:
    """Ways in which a file that is read could run code."""
    complaints = []
    yaml_names = {"yaml"}
    for name, line, _ in imports(path, source):
        own = name == "pickle" and path == Path(PICKLES_ITS_OWN)
        if name.split(".")[0] in UNSAFE_MODULES and not own:
            complaints.append(f"{path}:{line}: import of {name}")
        if name.startswith("yaml.") and unsafe_yaml(name.removeprefix("yaml.")):
            complaints.append(f"{path}:{line}: import of {name}; use yaml.safe_load")
    tree = parsed(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yaml_names |= {a.asname for a in node.names if a.name == "yaml" and a.asname}
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.Attribute(value=ast.Name(id="builtins"), attr=name) if (
                name in UNSAFE_CALLS
            ):
                complaints.append(f"{path}:{node.lineno}: {name}")
            case ast.Attribute(value=ast.Name(id=module), attr=attr) if (
                module in yaml_names and unsafe_yaml(attr)
            ):
                complaints.append(f"{path}:{node.lineno}: {module}.{attr}; use yaml.safe_load")
            case ast.keyword(arg="allow_pickle", value=value) if not (
                isinstance(value, ast.Constant) and value.value is False
            ):
                complaints.append(f"{path}:{value.lineno}: allow_pickle is not False")
    return complaints


RECIPES = (
    "mos_agents/cli",
    "mos_agents/wording.py",
    "mos_agents/lab/demo_results.py",
    "mos_agents/lab/training_page.py",
    "mos_agents/report/page.py",
)
"""The command line, and pages that show the command that makes them again."""

OPTION = re.compile(r"(?<![\w-])--[a-z]|\bmos [a-z]+ --|`mos [a-z]+`")


def options_in_messages(path: Path, source: str) -> list[str]:
    """Texts of the package that name options of the shell: a Python caller has none."""
    if path.parts[0] != "mos_agents" or any(path.is_relative_to(place) for place in RECIPES):
        return []
    tree = parsed(source)
    documentation = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    return [
        f"{path}:{node.lineno}: {node.value!r}; use mos_agents.wording"
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if id(node) not in documentation and OPTION.search(node.value)
        if "--num-cpus" not in node.value  # an option of `ray start`
    ]


NAMED_TUPLE = "memories are of any form, and a named tuple is recognised by its fields"
OPTIONAL = {
    "mos_agents/trees.py: _fields": NAMED_TUPLE,
    "mos_agents/market/printing.py: _fields": "any record of the package is printed briefly",
    "mos_agents/testing/promises.py: _fields": NAMED_TUPLE,
    "mos_agents/games/repeated.py: method": "whether a subclass writes again what QLearning has",
    "mos_agents/market/frames.py: estimate": "an interval, whose class is in a part further right",
    "mos_agents/market/checks.py: __post_init__": "the dataclass's own, before which it checks",
    "mos_agents/registry/registering.py: __post_init__": "likewise",
    "mos_agents/registry/registering.py: __dataclass_params__": "a dataclass, and frozen",
    "mos_agents/registry/registering.py: __abstractmethods__": "methods not written",
    "mos_agents/registry/provenance.py: __version__": "of a module, if it says one",
    "mos_agents/registry/provenance.py: __path__": "a module is a package",
    "mos_agents/registry/provenance.py: __file__": "a module has a file",
    "mos_agents/policies/base.py: act": "a policy that does not derive from Policy is told so",
    "mos_agents/policies/guard.py: __code__": "where a policy's method is written, if in Python",
    "mos_agents/policies/faults.py: __code__": "where a signal's handler is written, if in Python",
    "mos_agents/cli/__init__.py: format_message": "an error of click",
    "mos_agents/scenarios/yaml_text.py: value": "a node of YAML",
    "mos_agents/scenarios/files.py: problem": "an error of YAML",
    "mos_agents/scenarios/files.py: problem_mark": "an error of YAML",
    "mos_agents/scenarios/topics.py: __name__": "a type hint",
    "mos_agents/training/rllib_config.py: name": "a setting of RLlib",
    "mos_agents/training/rllib_learners.py: name": "state that each of RLlib's learners may have",
    "mos_agents/training/session.py: _old_pi": "a network of RLlib's",
    "mos_agents/training/torch_networks.py: actor_encoder": "a network of RLlib's",
    "experiments/replication.py: COUNT": "experiments are modules, see EXTENDING.md",
    "experiments/replication.py: KEEPS": "experiments are modules, see EXTENDING.md",
}
"""Attributes that are looked for and may be missing, each with the reason why it is no method or
attribute of a base class."""


def looked_for(source: str) -> list[tuple[int, str]]:
    """Attributes that may be missing: what `hasattr` asks for, and `getattr` with a default."""
    return [
        (node.lineno, name.value if isinstance(name, ast.Constant) else ast.unparse(name))
        for node in ast.walk(parsed(source))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        if (node.func.id, len(node.args)) in (("hasattr", 2), ("getattr", 3))
        for name in node.args[1:2]
    ]


def hidden_hooks(path: Path, source: str) -> list[str]:
    """Attributes that a part may have or not, and that no base class declares."""
    return [
        f"{path}:{line}: {attribute!r} may be missing; declare it in a base class"
        for line, attribute in looked_for(source)
        if f"{path}: {attribute}" not in OPTIONAL
    ]


RULES = (against_the_order, away_from_home, undeclared, unsafe, options_in_messages, hidden_hooks)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_no_file_breaks_the_rule(rule):
    files = sources()
    assert files
    assert [c for path in files for c in rule(path, (ROOT / path).read_text())] == []


FAULTS = [
    (against_the_order, "mos_agents/market/tick.py", "import mos_agents.policies"),
    (against_the_order, "mos_agents/market/tick.py", "from ..policies import rules"),
    (against_the_order, "mos_agents/market/tick.py", "from .. import scenarios"),
    (against_the_order, "mos_agents/market/__init__.py", "from ..learners import bandits"),
    (against_the_order, "mos_agents/market/tick.py", "from mos_agents import Market"),
    (against_the_order, "mos_agents/policies/rules.py", "from mos_agents.learners import tabular"),
    (against_the_order, "mos_agents/learners/a.py", "def f():\n    import mos_agents.games"),
    (against_the_order, "mos_agents/games/play.py", "import mos_agents.actors.local_runtime"),
    (against_the_order, "mos_agents/rollout/episode.py", "from mos_agents import actors"),
    (against_the_order, "mos_agents/rollout.py", "import envs.retail_v0"),
    (against_the_order, "mos_agents/rollout.py", "from . import runs"),
    (against_the_order, "mos_agents/cli.py", "from envs import retail_v0"),
    (against_the_order, "mos_agents/lab/local_runs.py", "from mos_agents.cli import app"),
    (against_the_order, "mos_agents/runs.py", "import experiments"),
    (against_the_order, "mos_agents/lab/replicating.py", "from experiments import replication"),
    (against_the_order, "mos_agents/scenarios/presets.py", "from mos_agents.games import play"),
    (against_the_order, "mos_agents/analysis/liquidity.py", "from mos_agents import report"),
    (against_the_order, "mos_agents/report/page.py", "import mos_agents.rollout"),
    (against_the_order, "mos_agents/sweeps/plan.py", "from mos_agents.report import sweeps"),
    (against_the_order, "mos_agents/rollout/episode.py", "from mos_agents import sweeps"),
    (against_the_order, "mos_agents/helpers.py", "x = 1"),
    (against_the_order, "envs/retail_v0.py", "import experiments.benchmarks"),
    (against_the_order, "envs/retail_v0.py", "from mos_agents.report import figures"),
    (against_the_order, "envs/batched.py", "from mos_agents.training import plan"),
    (
        against_the_order,
        "mos_agents/learners/network.py",
        "import mos_agents.training.torch_networks",
    ),
    (away_from_home, "mos_agents/actors/participant.py", "import ray"),
    (away_from_home, "mos_agents/sweeps/sweep.py", "def f():\n    from ray import tune"),
    (away_from_home, "mos_agents/learners/network.py", "import torch"),
    (away_from_home, "mos_agents/cli.py", "def f():\n    from ray.util import get_node_ip_address"),
    (away_from_home, "envs/retail_v0.py", "import matplotlib.pyplot as plt"),
    (away_from_home, "mos_agents/policies/rules.py", "from pettingzoo import ParallelEnv"),
    (undeclared, "mos_agents/market/tick.py", "import seaborn"),
    (undeclared, "mos_agents/market/tick.py", "from hypothesis import given"),
    (hidden_hooks, "mos_agents/market/tick.py", "ahead = getattr(stage, 'ahead', False)"),
    (hidden_hooks, "mos_agents/training/plan.py", "if hasattr(policy, name): pass"),
    (unsafe, "mos_agents/runs.py", "import pickle"),
    (unsafe, "mos_agents/runs.py", "def f():\n    from cloudpickle import loads"),
    (unsafe, "mos_agents/runs.py", "eval('1')"),
    (unsafe, "mos_agents/runs.py", "f = exec"),
    (unsafe, "mos_agents/runs.py", "import builtins\nbuiltins.eval('1')"),
    (unsafe, "mos_agents/runs.py", "import yaml\nyaml.load('a', Loader=yaml.SafeLoader)"),
    (unsafe, "mos_agents/runs.py", "import yaml\nclass L(yaml.UnsafeLoader): pass"),
    (unsafe, "mos_agents/runs.py", "import yaml as y\ny.unsafe_load('a')"),
    (unsafe, "mos_agents/runs.py", "from yaml import full_load"),
    (unsafe, "mos_agents/runs.py", "np.load('a', allow_pickle=True)"),
    (unsafe, "mos_agents/runs.py", "np.load('a', allow_pickle=flag)"),
    (options_in_messages, "mos_agents/runs.py", "raise InputError(f'{a}: raise --markets')"),
    (options_in_messages, "mos_agents/runs.py", "x = 'there are none; `mos run` makes one'"),
]


def test_every_attribute_that_may_be_missing_is_still_looked_for():
    found = {
        f"{path}: {attribute}"
        for path in sources()
        for _, attribute in looked_for((ROOT / path).read_text())
    }
    assert OPTIONAL.keys() - found == set()


@pytest.mark.parametrize(("rule", "path", "source"), FAULTS)
def test_the_rule_sees_the_fault(rule, path, source):
    assert len(rule(Path(path), source)) == 1


ALLOWED = [
    ("mos_agents/market/tick.py", "from . import types\nfrom .types import State"),
    ("mos_agents/market/__init__.py", "from .types import State"),
    ("mos_agents/actors/ray/runtime.py", "import ray\nfrom mos_agents.scenarios import presets"),
    ("mos_agents/report/figures.py", "import matplotlib\nfrom ..analysis import collusion"),
    ("mos_agents/cli.py", "from mos_agents import __version__\nimport mos_agents.report"),
    (
        "mos_agents/runs.py",
        "import yaml\nyaml.dump(yaml.safe_load('a'))\nclass L(yaml.SafeLoader): pass",
    ),
    ("mos_agents/runs.py", "import numpy as np\nnp.load('a', allow_pickle=False)"),
    ("mos_agents/policies/torch.py", "model.eval()\nmodel.load('a')"),
    ("envs/retail_v0.py", "def render():\n    from mos_agents.report import figures"),
    ("mos_agents/lab/replicating.py", "def f():\n    from experiments import replication"),
    ("envs/retail_v0.py", "import pettingzoo\nfrom mos_agents import rollout"),
]


@pytest.mark.parametrize(("path", "source"), ALLOWED)
def test_the_rules_leave_honest_code_alone(path, source):
    assert [c for rule in RULES for c in rule(Path(path), source)] == []


# --- names ----------------------------------------------------------------------------------------

DOUBLED: set[str] = set()
"""Class names that still stand twice. Remove a name as soon as it is unique; never add one."""


def doubled(sources: dict[str, str]) -> dict[str, list[str]]:
    """Class names defined more than once in source texts by path, with the places of each."""
    places: dict[str, list[str]] = {}
    for path, source in sources.items():
        for node in ast.walk(parsed(source)):
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(f"{path}:{node.lineno}")
    return {name: where for name, where in places.items() if len(where) > 1}


def market_imports(path: Path, source: str) -> tuple[set[str], set[str]]:
    """Names that a module of market/ imports from market/: when it runs, and for annotations."""
    typing = {
        child
        for node in ast.walk(parsed(source))
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for child, *_ in imports(path, "\n".join(ast.unparse(one) for one in node.body))
    }
    found = {name for name, *_ in imports(path, source) if name.startswith("mos_agents.market.")}
    return found - typing, found & typing


def market_cycle(modules: dict[Path, str]) -> list[str]:
    """A circle of modules of market/ that import one another; empty where there is none."""
    names = {dotted(path) for path in modules}
    graph = {}
    for path, source in modules.items():
        wanted, _ = market_imports(path, source)
        used = {n for name in wanted for n in (name, name.rpartition(".")[0]) if n in names}
        graph[dotted(path)] = used - {dotted(path), "mos_agents.market"}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def market_modules() -> dict[Path, str]:
    return {
        path: (ROOT / path).read_text()
        for path in sources()
        if path.is_relative_to("mos_agents/market")
    }


def test_the_modules_of_a_market_import_one_another_without_a_circle():
    """What lies below `Market` names it in annotations alone; every stage lies above it."""
    modules = market_modules()
    assert market_cycle(modules) == []
    for path, source in modules.items():
        _, typing = market_imports(path, source)
        assert typing <= {"mos_agents.market.market.Market"}, path
        below = {"stages", "finite", "frames", "memory", "remembering", "spec_parts"}
        assert not typing or path.stem in below, f"{path} can import Market when it runs"


def test_a_circle_in_the_market_is_found():
    low = Path("mos_agents/market/low.py")
    modules = {
        Path("mos_agents/market/high.py"): "from mos_agents.market.low import low",
        low: "from mos_agents.market.types import Array",
    }
    assert market_cycle(modules) == []
    modules[low] = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import numpy\n"
    modules[low] += "    from mos_agents.market.high import High"
    assert market_cycle(modules) == []
    modules[low] = "def f():\n    from mos_agents.market.high import high"
    assert set(market_cycle(modules)) == {"mos_agents.market.high", "mos_agents.market.low"}


def test_no_class_name_stands_twice():
    tests = [path.relative_to(ROOT) for path in (ROOT / "tests").rglob("*.py")]
    found = doubled({str(path): (ROOT / path).read_text() for path in (*sources(), *tests)})
    assert {name: where for name, where in found.items() if name not in DOUBLED} == {}
    assert found.keys() >= DOUBLED, "remove the names that are unique now from DOUBLED"


def test_a_doubled_class_name_is_found_with_both_places():
    inner = "def f():\n    class A: pass"
    assert doubled({"a.py": "class A: pass\nclass B: pass", "b.py": inner}) == {
        "A": ["a.py:1", "b.py:2"]
    }


def test_importing_the_package_loads_no_heavy_library():
    heavy = {"ray", "pettingzoo", "torch", "matplotlib"}
    program = f"import sys, mos_agents; print(*sorted({heavy} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


# --- the locks ------------------------------------------------------------------------------------


def locked(name: str) -> list[tuple[Requirement, list[str]]]:
    """Each requirement of a lock with its hashes."""
    text = re.sub(r"^ *#.*\n", "", LOCKS[name], flags=re.MULTILINE).replace("\\\n", " ")
    lines = [line for line in map(str.strip, text.splitlines()) if line and line[0] != "#"]
    entries = [re.split(r"\s+--hash=", line) for line in lines]
    return [(Requirement(first), hashes) for first, *hashes in entries]


def pins(name: str, python: str) -> dict[str, list[str]]:
    """What a lock installs under a release of Python on Linux: versions by package."""
    environment = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": "linux",
    }
    found: dict[str, list[str]] = {}
    for one, _ in locked(name):
        if one.marker is None or one.marker.evaluate(environment):
            found.setdefault(one.name, []).append(next(iter(one.specifier)).version)
    return found


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_names_no_url(name):
    assert "/" not in LOCKS[name]  # nor a path of the machine it was written on
    assert [line for line in LOCKS[name].splitlines() if line.startswith("-")] == []  # nor an index


@pytest.mark.parametrize("name", LOCKS)
def test_every_requirement_of_a_lock_is_pinned_and_hashed(name):
    assert locked(name)
    for requirement, hashes in locked(name):
        assert re.fullmatch(r"==[0-9][^,*]*", str(requirement.specifier)), requirement
        assert hashes, requirement
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", digest) for digest in hashes), requirement


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_the_locks_hold_one_release_of_each_declared_package(python):
    extras = PROJECT["optional-dependencies"]
    plain = (*PROJECT["dependencies"], *extras["dev"])
    for name, texts in (
        ("requirements.lock", plain),
        ("requirements-train.lock", (*plain, *extras["train"])),
        ("requirements-docs.lock", (*plain, *extras["docs"])),
    ):
        held = pins(name, python)
        for declared in map(Requirement, texts):
            if declared.name == "torch":
                continue
            versions = held[canonicalize_name(declared.name)]
            assert len(versions) == 1, declared
            assert declared.specifier.contains(versions[0]), declared


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_training_and_documentation_install_into_the_same_environment_and_move_nothing(python):
    plain, training = pins("requirements.lock", python), pins("requirements-train.lock", python)
    documentation = pins("requirements-docs.lock", python)
    assert {name: training.get(name) for name in plain} == plain
    assert {name: documentation.get(name) for name in plain} == plain
    both = training.keys() & documentation.keys()
    assert {name: training[name] for name in both} == {name: documentation[name] for name in both}


def test_which_build_of_pytorch_is_left_to_the_machine():
    cuda = re.compile(r"torch|triton|cuda-.*|nvidia-.*")
    assert [r.name for r, _ in locked("requirements-train.lock") if cuda.fullmatch(r.name)] == []
    (torch,) = (
        r
        for t in PROJECT["optional-dependencies"]["train"]
        if (r := Requirement(t)).name == "torch"
    )
    assert re.fullmatch(r"==[0-9.]+", str(torch.specifier))


def test_a_wheel_takes_along_every_file_that_the_package_reads():
    package = ROOT / "mos_agents"
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"][
        "package-data"
    ]["mos_agents"]
    taken = {path for pattern in patterns for path in package.glob(pattern)}
    there = {p for p in package.rglob("*") if p.is_file() and "__pycache__" not in p.parts}
    assert {p for p in there if p.suffix != ".py"} == taken
