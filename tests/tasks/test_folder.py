"""Results in a folder: of one plan, with one writer, and never taken for what they are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mos_agents.runs import RunError
from mos_agents.runs.files import FolderLocked
from mos_agents.runs.folder import STUDY
from mos_agents.runs.sealing import read_sealed, sealed
from mos_agents.tasks import ArrayCodec, JsonCodec, ResultFolder, Task, run_tasks
from tests.tasks.worlds import square

FACTS = {"study": "squares", "settings": {"plus": 100, "alpha": [0.1, 0.2]}}


def play(folder: Path, facts: Any = FACTS, count: int = 3) -> dict[str, int]:
    tasks = [Task(f"n{n}", square, 100, (n,)) for n in range(count)]
    with ResultFolder.opened(folder, STUDY, facts, JsonCodec()) as results:
        return run_tasks(tasks, results=results)


def test_a_folder_keeps_a_file_a_result_and_a_record(tmp_path: Path) -> None:
    found = play(tmp_path / "it")
    before = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "it").iterdir()}
    assert sorted(before) == ["n0.json", "n1.json", "n2.json", "study.json"]
    assert play(tmp_path / "it", count=4) == {**found, "n3": 109}  # more tasks of the same plan
    after = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "it").iterdir()}
    assert {name: after[name] for name in before} == before


def test_a_folder_of_another_plan_is_refused_with_what_differs(tmp_path: Path) -> None:
    play(tmp_path)
    other = {"study": "squares", "settings": {"plus": 101, "alpha": [0.1, 0.2]}}
    with pytest.raises(RunError, match="holds another study with plus=100, not 101; give another"):
        play(tmp_path, other)


def test_a_folder_with_other_files_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("dear reader")
    with pytest.raises(RunError, match="holds other files"):
        play(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_folder_of_another_form_is_refused(tmp_path: Path) -> None:
    play(tmp_path)
    record = tmp_path / "study.json"
    record.write_bytes(sealed({**read_sealed(record), "form": 1}))
    with pytest.raises(RunError, match="is of form 1, this version reads 2; begin another study"):
        play(tmp_path)


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    with STUDY.locked(tmp_path), pytest.raises(FolderLocked, match="another process works in it"):
        play(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_result_of_another_plan_or_task_is_refused(tmp_path: Path) -> None:
    play(tmp_path / "a")
    play(tmp_path / "b", {"study": "cubes"})
    for source in ("b/n0.json", "a/n1.json"):
        (tmp_path / "a" / "n0.json").write_bytes((tmp_path / source).read_bytes())
        with pytest.raises(RunError, match=r"n0\.json: is of another study; remove it"):
            play(tmp_path / "a")


@pytest.mark.parametrize("at", [0, 20, -4])
def test_a_damaged_result_is_refused(tmp_path: Path, at: int) -> None:
    play(tmp_path)
    path = tmp_path / "n0.json"
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(RunError, match="damaged or edited"):
        play(tmp_path)


def test_what_a_kill_left_half_written_is_removed(tmp_path: Path) -> None:
    play(tmp_path)
    (tmp_path / ".n0.json.7.tmp").write_text("{")
    play(tmp_path)
    assert not (tmp_path / ".n0.json.7.tmp").exists()


def doubled(shared: int, number: int) -> dict[str, Any]:
    return {"x": np.arange(number) * shared, "empty": np.zeros((0, 3))}


def test_arrays_come_back_as_they_were(tmp_path: Path) -> None:
    task = Task("n3", doubled, 2, (3,))
    for _ in range(2):
        with ResultFolder.opened(tmp_path, STUDY, FACTS, ArrayCodec()) as results:
            found = run_tasks([task], results=results)["n3"]
        assert found["x"].tolist() == [0, 2, 4] and found["empty"].shape == (0, 3)
        assert found["x"].dtype == np.int64 and set(found) == {"x", "empty"}
