"""What lies beside the tables of a run: files that are none of it, and snapshots made again."""

import io
import json
import os
import random
import shutil
from pathlib import Path

import numpy as np
import pytest

from mos_agents import runs, scenarios
from mos_agents.cli import run
from mos_agents.lab.verifying import verify
from mos_agents.policies import POLICIES
from mos_agents.policies.base import Policy
from mos_agents.runs import RunError
from mos_agents.runs.files import write_with_digest
from tests.commands import refused
from tests.forging import part, reseal
from tests.test_runs import recorded
from tests.test_verify import by_actors, in_the_loop, played_by_actors, with_policy

pytestmark = pytest.mark.usefixtures("here")


@pytest.fixture
def retail():
    return scenarios.override(scenarios.load("retail"), ["instruments=2", "ticks=12", "markets=4"])


def beside(folder, what):
    """Put something into a table's folder."""
    table = folder / "aggregates"
    if what == "a FIFO":
        os.mkfifo(table / "x.parquet")
    elif what == "a folder":
        (table / "more").mkdir()
    elif what == "a link":
        (table / "x.parquet").symlink_to("part-000000.parquet")
    else:
        shutil.copy(part(folder, "aggregates", 0), table / what)


@pytest.mark.parametrize(
    "what",
    [
        "zzz.parquet",
        "part-0000009.parquet",
        "part-1.parquet",
        "notes.txt",
        "part-000000.parquet~",
        "a FIFO",
        "a folder",
        "a link",
    ],
)
def test_what_others_would_read_as_more_of_a_table_is_found(what, retail, capsys):
    for maker in (in_the_loop, by_actors):
        folder = maker(Path("runs"), retail, random.Random(1))
        beside(folder, what)
        line = refused(capsys, "verify", folder.name)
        assert "is no part of the table; remove it" in line and "aggregates" in line
        shutil.rmtree(folder)


def test_what_a_kill_left_beside_a_table_is_no_fault_of_the_run(retail):
    folder = in_the_loop(Path("runs"), retail, random.Random(1))
    (folder / "listings" / ".part-000001.parquet.77.tmp").write_bytes(b"half")
    verify(runs.read(folder))


def test_a_page_beside_the_run_is_named_as_not_checked(retail, capsys):
    folder = recorded(Path("runs"), retail, name="it").folder
    assert run(["verify", "it"]) == 0
    assert "pages" not in capsys.readouterr().out
    (folder / "report.html").write_text("<p>All is well.")
    assert run(["verify", "it"]) == 0
    assert "the pages beside it (mos report writes them again)" in capsys.readouterr().out


def resnapped(folder, change):
    """The snapshots of a run changed, with their digests made again."""
    for path in (folder / "shards").glob("*/snapshot-*.npz"):
        arrays = dict(np.load(path))
        note = json.loads(str(arrays["note"]))
        change(arrays, note)
        if "note" in arrays:
            arrays["note"] = np.array(json.dumps(note))
        np.savez(out := io.BytesIO(), **arrays)
        write_with_digest(path, out.getvalue())


def counted(kind):
    return lambda arrays, note: note["counts"].setdefault("firm_1", {}).update({kind: 3})


@pytest.mark.parametrize("kind", ["refused", "not finite"])
def test_faults_that_a_snapshot_and_run_json_both_tell_of_are_held_against_the_seed(
    kind, retail, capsys
):
    folder = played_by_actors(retail)
    resnapped(folder, counted(kind))
    reseal(folder, trouble={"firm_1": {kind: 3}})
    line = refused(capsys, "verify", "it")
    assert f"trouble.firm_1.{kind} is 3, but repeated 0: damaged or edited" in line


class Fails(Policy):
    """Fails at tick 2: told in the snapshot, and in no record that is left."""

    kind = "fails"
    atomic = True

    def start(self, spec, batch):
        return None

    def act(self, spec, observation, memory, draws):
        if draws.tick == 2:
            raise RuntimeError("again")
        return spec.read(observation, "own_ask")[:, :, None], memory


@pytest.fixture
def failing(retail, monkeypatch):
    monkeypatch.setitem(POLICIES, "fails", Fails)
    return with_policy(retail, {"kind": "fails"})


def test_faults_that_are_kept_quiet_are_found(failing, capsys):
    folder = played_by_actors(failing)
    verify(runs.read("it"))
    (who,) = json.loads((folder / "run.json").read_text())["trouble"]
    resnapped(folder, lambda arrays, note: note["counts"].pop(who))
    reseal(folder, trouble={})
    assert f"trouble.{who}.failed is 0, but repeated 4" in refused(capsys, "verify", "it")


def test_who_was_late_is_not_played_again_and_trouble_of_the_day_is_named_as_not_shown(
    retail, capsys
):
    folder = played_by_actors(retail)
    for kind in ("late", "restarted"):
        resnapped(folder, lambda arrays, note: note["counts"].pop("firm_1", None))
        resnapped(folder, counted(kind))
        reseal(folder, trouble={"firm_1": {kind: 3}})
        if kind == "late":  # whoever hung would hang here too
            line = refused(capsys, "verify", "it")
            assert "firm_1 (3 late), and the seed does not repeat that" in line
        else:
            capsys.readouterr()
            assert run(["verify", "it"]) == 0
            assert "the faults of the run (participants had trouble: firm_1 (3 " in (
                capsys.readouterr().out
            )


def dropped(name):
    return lambda arrays, note: arrays.pop(name)


def put(name, array):
    return lambda arrays, note: arrays.update({name: array})


@pytest.mark.parametrize(
    "change",
    [
        dropped("note"),
        dropped("digests"),
        dropped("state_1"),
        dropped("observation"),
        put("state_0", np.array([1, 2], np.uint8)),
        put("state_0", np.zeros(3)),
        put("state_1", np.zeros((1, 1))),
        put("digests", np.zeros((1, 2), np.uint64)),
        put("reward", np.zeros(3)),
        lambda arrays, note: note.clear(),
        lambda arrays, note: note.pop("run"),
        lambda arrays, note: note.update(withdrawn=3),
        lambda arrays, note: note.update(counts=3),
        lambda arrays, note: note.update(memories=9),
    ],
)
def test_a_snapshot_that_is_none_is_refused_in_one_line(change, retail, capsys):
    folder = played_by_actors(retail)
    resnapped(folder, change)
    line = refused(capsys, "verify", "it")
    assert "snapshot of tick 10 is none of this run's: damaged or edited" in line


def test_an_archive_that_is_none_is_refused_in_one_line(retail, capsys):
    folder = played_by_actors(retail)
    for data in (b"", b"PK\x03\x04", b"\x93NUMPY", b"text"):
        for path in (folder / "shards").glob("*/snapshot-*.npz"):
            write_with_digest(path, data)
        assert "is no snapshot: damaged or edited" in refused(capsys, "verify", "it")
        with pytest.raises(RunError):
            verify(runs.read("it"))
