"""Forgeries of runs, drawn at random: what somebody could do to a folder who knows its form.

Every forgery changes what the folder says. `hidden` says how much of the tracks is removed:
nothing, the digest beside the part, or also the digests in run.json and its seal.
"""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from mos_agents import runs
from mos_agents.market.refusals import REASONS
from mos_agents.runs.files import digest, write_whole, write_with_digest
from mos_agents.runs.sealing import sealed

HIDDEN = ("nothing", "the digest", "the seal")


def part(folder: Path, table: str, number: int) -> Path:
    """The path of a part."""
    return folder / table / f"part-{number:06d}.parquet"


def facts_of(folder: Path) -> dict[str, Any]:
    """What run.json says."""
    facts: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return facts


def reseal(folder: Path, **changes: object) -> None:
    """run.json with the digests of the parts that lie there, and other changes, sealed again."""
    facts = facts_of(folder)
    if facts["parts"] is not None:
        facts["parts_sha256"] = {
            table: [digest(p.read_bytes()) for p in sorted((folder / table).glob("*.parquet"))]
            for table in runs.TABLES
        }
    write_whole(folder / "run.json", sealed(facts | changes))


def put(path: Path, data: bytes, hidden: str) -> None:
    """Write a part, and its digest unless the forger forgot it."""
    if hidden == "nothing":
        write_whole(path, data)
    else:
        write_with_digest(path, data)


def rewrite(path: Path, change: Callable[[pl.DataFrame], pl.DataFrame], hidden: str) -> None:
    """A part with its rows changed."""
    out = io.BytesIO()
    change(pl.read_parquet(path)).write_parquet(out)
    put(path, out.getvalue(), hidden)


def forge(folder: Path, draw: random.Random) -> str:
    """Forge something of a run; what was done, in words."""
    kinds = [value, value, value, column, rows, types, places, count, field, field, shortened]
    while True:
        hidden = draw.choice(HIDDEN)
        kind = draw.choice(kinds)
        if found := kind(folder, draw, hidden):
            if hidden == "the seal" and kind is not field:
                reseal(folder, **({"parts": parts_there(folder)} if kind is count else {}))
            return f"{found}, hiding {hidden}"


def parts_there(folder: Path) -> int:
    return len(list((folder / "aggregates").glob("*.parquet")))


def _any_part(folder: Path, draw: random.Random) -> tuple[str, Path]:
    table = draw.choice(list(runs.TABLES))
    return table, draw.choice(sorted((folder / table).glob("*.parquet")))


def value(folder: Path, draw: random.Random, hidden: str) -> str:
    """One value, by as little as it can be."""
    _, path = _any_part(folder, draw)
    before = pl.read_parquet(path)
    if not before.height:
        return ""
    name, row = draw.choice(before.columns), draw.randrange(before.height)
    new = other(before[name][row], draw)
    rewrite(path, lambda d: with_value(d, name, row, new), hidden)
    return f"{path.parent.name}/{path.name}: {name} of row {row} is {new!r}"


def other(old: Any, draw: random.Random) -> Any:
    """Another value of the same type."""
    if isinstance(old, bool):
        return not old
    if isinstance(old, int):
        return old + draw.choice([-1, 1, 7])
    if isinstance(old, str):
        return draw.choice([w for w in ("firm_1", "firm_2", "", *REASONS[1:]) if w != old])
    if old is None:
        return draw.choice([0.0, 1.0])
    nudged = [
        old * 2.0 + 1.0,
        -old - 1.0,
        float("nan"),
        float("inf"),
        old + max(abs(old), 1) * 1e-15,
    ]
    if old == 0.0:
        nudged.append(-0.0 if str(old) == "0.0" else 0.0)
    return draw.choice([n for n in nudged if str(n) != str(old)])


def with_value(rows: pl.DataFrame, name: str, row: int, new: Any) -> pl.DataFrame:
    values = rows[name].to_list()
    values[row] = new
    return rows.with_columns(pl.Series(name, values, rows.schema[name]))


def column(folder: Path, draw: random.Random, hidden: str) -> str:
    """A whole column, twice as large or that of another."""
    _, path = _any_part(folder, draw)
    before = pl.read_parquet(path)
    floats = [c for c in before.columns if before.schema[c] == pl.Float64]
    name, source = draw.choice(floats), draw.choice(floats)
    made = pl.col(name) * 2.0 if draw.random() < 0.5 else pl.col(source).alias(name)
    if before.with_columns(made).equals(before):
        return ""
    rewrite(path, lambda d: d.with_columns(made), hidden)
    return f"{path.parent.name}/{path.name}: column {name} changed"


def rows(folder: Path, draw: random.Random, hidden: str) -> str:
    """Rows exchanged, left out, or there twice."""
    _, path = _any_part(folder, draw)
    before = pl.read_parquet(path)
    if before.height < 2:
        return ""
    one, two = sorted(draw.sample(range(before.height), 2))
    order = list(range(before.height))
    what = draw.choice(["exchanged", "left out", "doubled"])
    if what == "exchanged":
        order[one], order[two] = two, one
    elif what == "left out":
        del order[one]
    else:
        order.insert(one, one)
    rewrite(path, lambda d: d[order], hidden)
    return f"{path.parent.name}/{path.name}: row {one} {what}"


def types(folder: Path, draw: random.Random, hidden: str) -> str:
    """A column of another type, another name, or gone."""
    _, path = _any_part(folder, draw)
    names = pl.read_parquet_schema(path)
    name = draw.choice(list(names))
    kinds = {
        pl.Float64: pl.Float32,
        pl.Int64: pl.Int32,
        pl.Int32: pl.Int64,
        pl.Boolean: pl.Int8,
        pl.String: pl.Binary,
    }
    what = draw.choice(["retyped", "renamed", "dropped"])
    changes: dict[str, Callable[[pl.DataFrame], pl.DataFrame]] = {
        "retyped": lambda d: d.with_columns(pl.col(name).cast(kinds[type(names[name])])),
        "renamed": lambda d: d.rename({name: name + "_"}),
        "dropped": lambda d: d.drop(name),
    }
    rewrite(path, changes[what], hidden)
    return f"{path.parent.name}/{path.name}: column {name} {what}"


def places(folder: Path, draw: random.Random, hidden: str) -> str:
    """Two parts exchanged, or one in the place of another."""
    table, one = _any_part(folder, draw)
    two = draw.choice(sorted((folder / table).glob("*.parquet")))
    first, second = one.read_bytes(), two.read_bytes()
    if first == second:
        return ""
    put(two, first, hidden)
    if draw.random() < 0.5:
        put(one, second, hidden)
    return f"{table}: {one.name} in the place of {two.name}"


def count(folder: Path, draw: random.Random, hidden: str) -> str:
    """A part left out, or one more than there were; the others move up."""
    which = list(runs.TABLES) if draw.random() < 0.5 else [draw.choice(list(runs.TABLES))]
    there = parts_there(folder)
    at = draw.randrange(there)
    what = draw.choice(["dropped", "doubled"])
    if what == "dropped" and there == 1:
        return ""
    for table in which:
        data = [part(folder, table, n).read_bytes() for n in range(there)]
        data = data[:at] + (data[at : at + 1] * 2 if what == "doubled" else []) + data[at + 1 :]
        for path in (folder / table).iterdir():
            path.unlink()
        for number, one in enumerate(data):
            write_with_digest(part(folder, table, number), one)
    return f"{', '.join(which)}: part {at} {what}"


def shortened(folder: Path, draw: random.Random, hidden: str) -> str:
    """The run as if it had ended with an earlier part."""
    there = parts_there(folder)
    if there == 1:
        return ""
    for table in runs.TABLES:
        last = part(folder, table, there - 1)
        last.unlink()
        last.with_name(last.name + ".sha256").unlink()
    ticks = int(pl.read_parquet(part(folder, "aggregates", there - 2))["tick"][-1]) + 1
    scenario = (folder / "scenario.yaml").read_text()
    whole = facts_of(folder)["ticks"]
    if hidden != "nothing":
        scenario = scenario.replace(f"\nticks: {whole}\n", f"\nticks: {ticks}\n")
        (folder / "scenario.yaml").write_text(scenario)
    reseal(
        folder,
        ticks=ticks,
        parts=there - 1,
        scenario_sha256=digest(scenario.encode()),
    )
    return f"shortened to {ticks} ticks"


def field(folder: Path, draw: random.Random, hidden: str) -> str:
    """Something that run.json says, and that the scenario, tables or journal say as well."""
    facts = facts_of(folder)
    market = dict(facts["market"])
    what = draw.choice(
        [
            "scenario",
            "seed",
            "ticks",
            "markets",
            "recorded_markets",
            "every",
            "hash",
            "parts",
            "finished",
            "actors",
            "inputs",
            "scenario_sha256",
            "parts_sha256",
            "trouble",
            "withdrawn",
            "more",
            "gone",
            *(f"market.{name}" for name in market),
        ]
    )
    number = draw.choice([-1, 1, 2, 1000])
    if what.startswith("market."):
        name = what.split(".")[1]
        old = market[name]
        market[name] = (
            not old
            if isinstance(old, bool)
            else [*old, 0 if name == "made_to_order" else "firm_9"]
            if isinstance(old, list)
            else 3.5
            if old is None or isinstance(old, float)
            else old + "x"
        )
        change: Any = {"market": market}
    elif what in ("seed", "ticks", "markets", "recorded_markets", "every", "parts"):
        change = {what: facts[what] + number}
    elif what == "actors":
        acted = facts["actors"]
        found = acted | {"shards": acted["shards"] + 1} if acted else {"backend": "actors"}
        change = {what: draw.choice([None, found]) if acted else found}
    elif what == "parts_sha256":
        table = draw.choice(list(runs.TABLES))
        digests = facts[what] | {table: [digest(b"x"), *facts[what][table][1:]]}
        change = {what: draw.choice([digests, None, {}])}
    elif what == "gone":
        # No faults and an empty list of them say the same.
        kept = ("sha256", "name", "started", "versions", "faults")
        what = draw.choice([k for k in facts if k not in kept])
        del facts[what]
        change = {}
    else:
        change = {
            what: {
                "scenario": facts["scenario"] + "x",
                "hash": digest(b"x")[:32],
                "finished": None,
                "inputs": {"a.csv": digest(b"x")},
                "scenario_sha256": digest(b"x"),
                "trouble": {"firm_1": {"late": 3}},
                "withdrawn": ["firm_1"],
                "more": 1,
            }[what]
        }
    data = sealed(facts | change)
    if hidden == "nothing":
        data = data.replace(json.loads(data)["sha256"].encode(), facts["sha256"].encode())
    write_whole(folder / "run.json", data)
    return f"run.json: {what} changed"
