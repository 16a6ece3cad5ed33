"""Run folders: whole after any crash, honest about damage, and never outside their root."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from mos_agents import runs, scenarios
from mos_agents.market.metrics import METRICS
from mos_agents.market.types import InputError
from mos_agents.rollout import play
from mos_agents.runs import RecordingPlan, RunError, files
from mos_agents.runs import folder as folders
from mos_agents.scenarios import Scenario
from tests.waiting import PATIENCE

ROOT = Path(__file__).parents[1]
TICKS = 12


def small(**changes: object) -> Scenario:
    settings = {"ticks": TICKS, "instruments": 2, "markets": 2, **changes}
    return scenarios.override(scenarios.load("retail"), [f"{k}={v}" for k, v in settings.items()])


def recorded(
    root: Path, scenario: Scenario, flush_at: tuple[int, ...] = (), stop: int | None = None, **how
) -> runs.Recording:
    """A run played and recorded; parts end at the given ticks. Sealed unless stopped."""
    market = scenario.market()
    run = runs.record(
        market,
        root,
        scenario=scenario.name,
        described=scenarios.dump(scenario),
        seed=scenario.seed,
        ticks=scenario.ticks,
        markets=scenario.markets,
        **how,
    )
    steps = play(
        market,
        scenario.policies(),
        seed=scenario.seed,
        ticks=scenario.ticks,
        markets=scenario.markets,
    )
    for step in steps:
        run.add(step)
        if run.ticks in flush_at:
            run.flush()
        if run.ticks == stop:
            return run
    run.finish()
    return run


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small finished run of three parts."""
    return recorded(tmp_path_factory.mktemp("runs"), small(), (4, 9)).folder


# --- what is in it --------------------------------------------------------------------------------


def test_a_run_reads_back_what_the_market_did(tmp_path: Path) -> None:
    scenario = small()
    folder = recorded(tmp_path, scenario, (5,)).folder
    market = scenario.market()
    run = runs.read(folder)
    listings, participants = run.listings(), run.participants()
    assert tuple(listings.columns) == runs.TABLES["listings"]
    assert tuple(participants.columns) == runs.TABLES["participants"]
    before = market.start(2)
    steps = list(play(market, scenario.policies(), seed=0, ticks=TICKS, markets=2))
    for t, step in enumerate(steps):
        rows = listings.filter(pl.col("tick") == t)
        for column, values in (
            ("ask", step.info.quotes.ask),
            ("sold", step.info.executions.sold),
            ("lost", step.info.executions.lost),
            ("inventory", step.state.positions.inventory),
            ("cost", before.cost),
        ):
            assert (rows[column].to_numpy() == values.ravel()).all(), (t, column)
        specs = participants.filter(pl.col("tick") == t)
        assert (specs["cash"].to_numpy() == step.state.positions.cash.ravel()).all()
        assert (specs["reward"].to_numpy() == step.reward.ravel()).all()
        for m, name in enumerate(METRICS):
            assert (specs[name].to_numpy() == step.metrics[:, :, m].ravel()).all()
        before = step.state


@pytest.mark.parametrize(
    ("preset", "column"), [("market_making", "reference"), ("auction", "cost")]
)
def test_reference_and_cost_of_a_tick_are_those_it_traded_at(
    preset: str, column: str, tmp_path: Path
) -> None:
    scenario = scenarios.override(scenarios.load(preset), ["ticks=6"])
    market = scenario.market()
    table = runs.read(recorded(tmp_path, scenario).folder).listings()
    before = market.start(1)
    for t, step in enumerate(play(market, scenario.policies(), seed=0, ticks=6)):
        found = table.filter(pl.col("tick") == t)[column].to_numpy()
        then, after = (
            market.marks_of_listings(s.reference) if column == "reference" else s.cost
            for s in (before, step.state)
        )
        assert (found == then[0]).all()
        assert not (found == after[0]).all()
        before = step.state


def test_aggregates_are_means_over_all_markets_also_of_those_not_recorded(tmp_path: Path) -> None:
    scenario = small(markets=7)
    whole = runs.read(recorded(tmp_path, scenario).folder)
    plan = RecordingPlan.of(scenario.market().layout, TICKS, 7, record_markets=2, every=3)
    part = runs.read(recorded(tmp_path, scenario, plan=plan).folder)
    assert_frame_equal(whole.aggregates(), part.aggregates())
    expected = (
        whole.participants()
        .group_by("tick", "participant", maintain_order=True)
        .agg(pl.col("pnl", "reward").mean(), pl.col("reward").quantile(0.05, "linear").alias("p"))
    )
    found = part.aggregates()
    for column, other in (("pnl", "pnl"), ("reward", "reward"), ("reward_p05", "p")):
        np.testing.assert_allclose(found[column], expected[other], rtol=1e-12, atol=1e-12)
    kept = whole.listings().filter((pl.col("tick") % 3 == 0) & (pl.col("market") < 2))
    assert_frame_equal(part.listings(), kept)
    assert part.facts["hash"] == whole.facts["hash"]  # the hash is of all markets and ticks


def test_the_parts_make_no_difference(tmp_path: Path) -> None:
    one = runs.read(recorded(tmp_path, small()).folder)
    many = runs.read(recorded(tmp_path, small(), tuple(range(1, TICKS))).folder)
    assert (one.parts, many.parts) == (1, TICKS)
    for table in runs.TABLES:
        assert_frame_equal(one.table(table), many.table(table))


def test_run_json_names_the_scenario_seed_versions_and_hash(finished: Path) -> None:
    facts = json.loads((finished / "run.json").read_text())
    assert (facts["scenario"], facts["seed"], facts["ticks"], facts["markets"]) == (
        "retail",
        0,
        TICKS,
        2,
    )
    assert {"python", "numpy", "numba", "mos-agents"} <= set(facts["versions"])
    assert facts["finished"] >= facts["started"]
    assert len(facts["hash"]) == 32
    again = scenarios.parse((finished / "scenario.yaml").read_text())
    assert again == small()


def test_the_digests_can_be_checked_with_a_common_tool(finished: Path) -> None:
    part = finished / "listings" / "part-000000.parquet"
    digest, name = (part.parent / "part-000000.parquet.sha256").read_text().split()
    assert digest == hashlib.sha256(part.read_bytes()).hexdigest()
    assert name == part.name


@pytest.mark.parametrize(
    ("ticks", "markets", "kept", "every"),
    [(500, 1, 1, 1), (500, 100, 100, 1), (1000, 10_000, 66, 1), (10**6, 1000, 20, 300)],
)
def test_a_small_run_is_kept_whole_and_a_large_one_thinned(
    ticks: int, markets: int, kept: int, every: int
) -> None:
    layout = scenarios.retail().layout  # 30 listings
    plan = RecordingPlan.of(layout, ticks, markets)
    assert (plan.markets, plan.every) == (kept, every)
    assert plan.rows <= 2_000_000 + plan.markets * layout.L
    assert plan.describe(markets)


@pytest.mark.parametrize("name", ["retail", "market_making", "auction", "autos_1990"])
def test_the_size_said_beforehand_is_about_the_size_on_the_disk(name: str, tmp_path: Path) -> None:
    scenario = scenarios.override(scenarios.load(name), ["ticks=100", "markets=3"])
    run = recorded(tmp_path, scenario)
    size = sum(p.stat().st_size for p in run.folder.rglob("*") if p.is_file())
    assert size / 3 < run.plan.bytes < 3 * size


# --- kill -9 --------------------------------------------------------------------------------------

EAGER = (
    "import mos_agents.runs.recording as r; r.SECONDS = {seconds}; "
    "from mos_agents.cli import main; main({arguments!r})"
)


def mos(*arguments: str, seconds: float = 2.0) -> list[str]:
    """A command line that runs `mos` in a process of its own, writing parts every so often."""
    return [sys.executable, "-c", EAGER.format(seconds=seconds, arguments=list(arguments))]


def started(command: list[str], folder: Path) -> subprocess.Popen[bytes]:
    """The process, once its run folder is there."""
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    deadline = time.monotonic() + PATIENCE
    while not (folder / "run.json").exists():
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.002)
    return process


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> runs.Run:
    """The run that is killed below, played to its 400th tick undisturbed."""
    scenario = small(ticks=400, markets=1)
    return runs.read(recorded(tmp_path_factory.mktemp("reference"), scenario).folder)


@pytest.mark.parametrize("attempt", range(5))
def test_a_killed_run_leaves_a_whole_prefix_of_its_ticks(
    attempt: int, tmp_path: Path, reference: runs.Run
) -> None:
    folder = tmp_path / "killed"
    command = mos(
        "run",
        "retail",
        "--ticks",
        "1000000",
        "--set",
        "instruments=2",
        "--every",
        "1",
        "--out",
        str(tmp_path),
        "--name",
        "killed",
        seconds=0.0,
    )
    process = started(command, folder)
    rng = random.Random(attempt)
    while len(list((folder / "aggregates").glob("part-*.parquet"))) < 3 * attempt:
        time.sleep(0.001)
    time.sleep(rng.uniform(0.0, 0.03))
    process.send_signal(signal.SIGKILL)
    process.wait()
    run = runs.read(folder)
    assert not run.finished
    assert run.facts["hash"] is None
    ticks = run.ticks
    assert ticks >= 3 * attempt
    for table in runs.TABLES:
        found = run.table(table)
        assert sorted(found["tick"].unique().to_list()) == list(range(ticks))
        known = reference.table(table).filter(pl.col("tick") < ticks)
        assert_frame_equal(found.filter(pl.col("tick") < 400), known)
    from mos_agents.report import write

    assert "interrupted" in write(run).read_text()


def test_a_kill_while_a_file_is_replaced_leaves_the_former_or_the_new_one_and_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, former, left = tmp_path / "firm_1.npz", b"former", []
    files.write_with_digest(path, former)

    def cut_off(target: Path, data: bytes) -> None:
        if not left:
            raise KeyboardInterrupt
        left.pop()
        write_whole(target, data)

    write_whole = files.write_whole
    monkeypatch.setattr(files, "write_whole", cut_off)
    for writes, kept in enumerate((former, former, b"new 2", b"new 3")):
        left[:] = range(writes)
        with contextlib.suppress(KeyboardInterrupt):
            files.write_with_digest(path, b"new %d" % writes)
        assert files.read_with_digest(path) == kept
    path.write_bytes(b"damaged")
    with pytest.raises(RunError, match="damaged"):
        files.read_with_digest(path)
    assert path.with_name("firm_1.npz.sha256").read_bytes().count(b"\n") == 1


def test_files_of_a_write_that_never_ended_are_not_read(tmp_path: Path) -> None:
    folder = recorded(tmp_path, small(), (4, 9), stop=9).folder
    for table in runs.TABLES:
        (folder / table / ".part-000002.parquet.77.tmp").write_bytes(b"half a p")
    (folder / "listings" / "part-000002.parquet").write_bytes(b"not acknowledged by aggregates")
    run = runs.read(folder)
    run.check()
    assert run.ticks == 9


def test_a_run_of_which_nothing_was_recorded_reads_as_empty_tables(
    finished: Path, tmp_path: Path
) -> None:
    run = runs.read(runs.record(small().market(), tmp_path, ticks=1).folder)
    assert (run.ticks, run.finished) == (0, False)
    for table in runs.TABLES:
        assert run.table(table).schema == runs.read(finished).table(table).schema
        assert run.table(table).is_empty()


def test_a_recorded_prefix_of_every_length_reads_back(tmp_path: Path) -> None:
    for stop in (1, 4, 5):
        run = runs.read(recorded(tmp_path, small(), (1, 4), stop=stop).folder)
        assert run.ticks == min(stop, 4)
        assert not run.finished
        assert run.listings()["tick"].max() == run.ticks - 1


# --- a full disk ----------------------------------------------------------------------------------


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, float]]:
    """A disk with `room` bytes: it stores what fits, says how much, and then refuses."""
    state: dict[str, float] = {"room": float("inf")}
    write = os.write

    def limited(handle: int, data: memoryview) -> int:
        fits = int(min(len(data), state["room"], 4096))
        if fits == 0 and len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        state["room"] -= fits
        return write(handle, data[:fits])

    monkeypatch.setattr(files.os, "write", limited)
    yield state


def test_short_writes_lose_nothing(tmp_path: Path, disk: dict[str, float]) -> None:
    files.write_whole(tmp_path / "file", data := os.urandom(100_000))
    assert (tmp_path / "file").read_bytes() == data


def test_a_disk_that_fills_at_any_byte_stops_the_run_and_keeps_what_was_acknowledged(
    tmp_path: Path, disk: dict[str, float]
) -> None:
    scenario = small(markets=1)
    whole = recorded(tmp_path, scenario, (3, 6, 9))
    size = sum(p.stat().st_size for p in whole.folder.rglob("*") if p.is_file())
    complete = runs.read(whole.folder)
    stopped = 0
    for attempt in range(50):
        disk["room"] = random.Random(attempt).randrange(size)
        market = scenario.market()
        try:
            run = runs.record(
                market, tmp_path, scenario="retail", described=scenarios.dump(scenario), ticks=TICKS
            )
        except RunError as error:
            assert "No space left" in str(error)
            continue
        with pytest.raises(RunError, match="No space left") as error:
            for step in play(market, scenario.policies(), seed=0, ticks=TICKS):
                run.add(step)
                if run.ticks % 3 == 0:
                    run.flush()
            run.finish()
        assert "\n" not in str(error.value)
        disk["room"] = float("inf")
        found = runs.read(run.folder)
        assert found.ticks == run.acknowledged
        known = complete.listings().filter(pl.col("tick") < found.ticks)
        if found.ticks:
            assert_frame_equal(found.listings(), known)
            stopped += 1
        assert not list(run.folder.rglob("*.tmp"))
    assert stopped > 20
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_a_size_limit_of_the_system_is_told_in_one_line(tmp_path: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    done = subprocess.run(
        mos("run", "retail", "--ticks", "300", "--out", str(tmp_path), "--name", "full"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        preexec_fn=limit,
        timeout=PATIENCE,
        env={**os.environ, "NUMBA_DISABLE_JIT": "0"},
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "File too large" in done.stderr
    assert not (tmp_path / "full").exists()  # nothing of it was acknowledged


# --- damage ---------------------------------------------------------------------------------------


def test_a_thousand_damaged_files_of_a_thousand_are_detected(
    finished: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(finished, tmp_path / "copy"))
    runs.read(folder).check()
    paths = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != "report.html")
    assert len(paths) == 2 + 3 * 3 * 2
    rng = random.Random(7)
    detected = 0
    for _ in range(1000):
        path = rng.choice(paths)
        data = path.read_bytes()
        at = rng.randrange(len(data))
        flipped = data[:at] + bytes([data[at] ^ rng.randrange(1, 256)]) + data[at + 1 :]
        path.write_bytes(flipped if rng.random() < 0.6 else data[:at])
        with pytest.raises(RunError) as error:
            runs.read(folder).check()
        assert "\n" not in str(error.value)
        detected += 1
        path.write_bytes(data)
    runs.read(folder).check()
    assert detected == 1000


@pytest.mark.parametrize("table", runs.TABLES)
def test_a_part_that_is_gone_is_missed(table: str, finished: Path, tmp_path: Path) -> None:
    for part in ("part-000000.parquet", "part-000001.parquet", "part-000002.parquet"):
        folder = Path(shutil.copytree(finished, tmp_path / part))
        (folder / table / part).unlink()
        with pytest.raises(RunError, match="missing"):
            runs.read(folder).check()


def test_parts_that_changed_places_are_detected(finished: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(finished, tmp_path / "copy"))
    one, two = (folder / "listings" / f"part-00000{i}.parquet" for i in (0, 1))
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)
    with pytest.raises(RunError, match="damaged"):
        runs.read(folder).check()


# --- names ----------------------------------------------------------------------------------------

HOSTILE = [
    "",
    ".",
    "..",
    "...",
    ".hidden",
    "-x",
    "--out",
    "/",
    "//",
    "/etc",
    "/etc/passwd",
    "../x",
    "../../x",
    "../../../../etc/passwd",
    "a/../../x",
    "a/b",
    "a/",
    "./a",
    "a/.",
    "a/..",
    "..\\x",
    "..\\..\\x",
    "C:\\x",
    "C:x",
    "\\\\host\\share",
    "a\0b",
    "\0",
    "a\nb",
    "\n",
    "a\rb",
    "a\tb",
    " a",
    "a ",
    "a b",
    "~",
    "~/x",
    "~root",
    "$HOME",
    "${HOME}",
    "`id`",
    "$(id)",
    "a;b",
    "a|b",
    "a&b",
    "a>b",
    "a<b",
    "*",
    "?",
    "[a]",
    "{a,b}",
    "%2e%2e",
    "%2e%2e%2fx",
    "..%2fx",
    "..%c0%afx",
    "\u2024\u2024/x",
    "\uff0e\uff0e",
    "a\u2215b",
    "ä",
    "名",
    "\u202ea",
    "a\u200b",
    "file:///etc",
    "x" * 101,
    "x" * 5000,
    "'",
    '"',
    "#",
    "!",
    "@",
    "=",
    "+",
    ",",
    ":",
    "\ud800",
    "_a",
    "._",
]


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_a_name_that_is_not_plain_makes_and_reads_nothing(name: str, tmp_path: Path) -> None:
    assert len(HOSTILE) >= 60
    root = tmp_path / "deep" / "runs"
    root.mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError) as error:
        runs.path_below(root, name)
    assert "\n" not in str(error.value)
    if name:
        with pytest.raises(InputError):
            runs.record(small().market(), root, ticks=1, name=name)
    with pytest.raises(InputError):
        runs.read(name, root)
    assert sorted(tmp_path.rglob("*")) == before


def test_links_out_of_the_root_are_not_followed(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(finished)
    with pytest.raises(InputError, match="link"):
        runs.read("link", tmp_path)
    for inner in ("run.json", "scenario.yaml", "listings/part-000000.parquet", "aggregates"):
        folder = Path(shutil.copytree(finished, tmp_path / inner.replace("/", "-")))
        target = folder / inner
        if target.is_dir():
            shutil.rmtree(target)
        else:
            target.unlink()
        target.symlink_to(finished / inner)
        with pytest.raises(RunError):
            runs.read(folder).check()


def test_a_report_replaces_a_link_instead_of_writing_through_it(
    finished: Path, tmp_path: Path
) -> None:
    from mos_agents.report import write

    folder = Path(shutil.copytree(finished, tmp_path / "copy"))
    outside = tmp_path / "outside"
    outside.write_text("mine")
    (folder / "report.html").symlink_to(outside)
    write(runs.read(folder))
    assert outside.read_text() == "mine"


def test_nothing_is_overwritten_and_default_names_count_on(tmp_path: Path) -> None:
    market = small().market()

    def name(**how: object) -> str:
        return runs.record(market, tmp_path, scenario="a b/c", ticks=1, **how).folder.name

    assert [name(), name(), name(seed=3)] == ["a-b-c-s0-001", "a-b-c-s0-002", "a-b-c-s3-001"]
    shutil.rmtree(tmp_path / "a-b-c-s0-001")
    assert name() == "a-b-c-s0-003"  # a name that was once given away is not given again
    assert name(name="mine") == "mine"
    with pytest.raises(RunError, match="already"):
        name(name="mine")


@pytest.mark.parametrize("what", ["an empty folder", "a file", "a dangling link"])
def test_a_name_that_something_else_has_is_taken(what: str, tmp_path: Path) -> None:
    path = tmp_path / "mine"
    if what == "a file":
        path.write_text("mine")
    elif what == "an empty folder":
        path.mkdir()
    else:
        path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(InputError):
        runs.record(small().market(), tmp_path, ticks=1, name="mine")
    assert [p.name for p in tmp_path.iterdir()] == ["mine"]
    assert not path.is_dir() or not list(path.iterdir())


def test_a_run_whose_name_is_taken_meanwhile_goes_on_to_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    market = small().market()
    rename = os.rename

    def late(source: Path, target: Path) -> None:
        if target.name == "retail-s0-001" and not target.exists():
            target.mkdir()
            (target / "run.json").write_text("somebody else's")
        rename(source, target)

    monkeypatch.setattr(folders.os, "rename", late)
    run = runs.record(market, tmp_path, scenario="retail", ticks=1)
    assert run.folder.name == "retail-s0-002"
    assert runs.read(run.folder).facts["name"] == "retail-s0-002"
    assert (tmp_path / "retail-s0-001" / "run.json").read_text() == "somebody else's"


# --- the hash -------------------------------------------------------------------------------------


def test_the_hash_sees_a_single_bit_of_a_single_market() -> None:
    scenario = small()
    steps = list(play(scenario.market(), scenario.policies(), seed=0, ticks=3, markets=2))

    def hashed(changed: float) -> str:
        trajectory = runs.TrajectoryHash()
        for t, step in enumerate(steps):
            if t == 1:
                reward = step.reward.copy()
                reward[1, 0] = np.nextafter(reward[1, 0], changed)
                step = step._replace(reward=reward)
            trajectory.add(step)
        return trajectory.hexdigest()

    same = steps[1].reward[1, 0]
    assert hashed(same) == hashed(same)
    assert hashed(same) != hashed(np.inf)


def test_another_seed_has_another_hash_and_the_same_seed_the_same(tmp_path: Path) -> None:
    hashes = [recorded(tmp_path, small(seed=seed)).facts["hash"] for seed in (0, 0, 1)]
    assert hashes[0] == hashes[1] != hashes[2]
