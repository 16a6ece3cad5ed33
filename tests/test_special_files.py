"""Files that are no files: FIFOs, devices, sockets, folders and links to them, in every place.

Whoever opens a FIFO waits for ever, and who reads /dev/zero never ends; who renames a file over a
device has replaced it. Each is refused at once, in one line.
"""

from __future__ import annotations

import os
import shutil
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mos_agents import learners, runs, scenarios
from mos_agents.cli import run as mos
from mos_agents.market.types import InputError
from mos_agents.policies import make
from mos_agents.runs import files
from tests.commands import refused
from tests.test_runs import recorded, small


def fifo(path: Path) -> None:
    os.mkfifo(path)


def link_to_a_fifo(path: Path) -> None:
    os.mkfifo(path.with_name("there"))
    path.symlink_to("there")


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def nothing(path: Path) -> None:
    path.symlink_to("/dev/null")


def link_to_a_folder(path: Path) -> None:
    path.symlink_to("/")


def in_a_circle(path: Path) -> None:
    path.symlink_to(path.name)


def leading_nowhere(path: Path) -> None:
    path.symlink_to("not there")


def listening(path: Path) -> None:
    # A socket's name is short: it is bound where the process stands, and moved.
    with socket.socket(socket.AF_UNIX) as one:
        former = Path.cwd()
        os.chdir(path.parent)
        try:
            one.bind("s")
        finally:
            os.chdir(former)
    (path.parent / "s").rename(path)


SPECIAL: dict[str, Callable[[Path], None]] = {
    one.__name__: one
    for one in (
        fifo,
        link_to_a_fifo,
        endless,
        nothing,
        Path.mkdir,
        link_to_a_folder,
        in_a_circle,
        leading_nowhere,
        listening,
    )
}
special = pytest.mark.parametrize("make_it", SPECIAL.values(), ids=SPECIAL)

SHOP = (
    'name: shop\nparticipants: [{{name: "*"{0}}}]\ncatalogue: {{kind: file, path: goods.csv}}\n'
    "execution: {{kind: expected, demand: {{kind: logit}}}}\nticks: 3\n{1}"
)
GOODS = "product,seller,cost,reference_price,quality,stock\ntea,a,1,2,0,1\nmilk,a,1,2,0,1\n"


def shop(folder: Path, policy: str = "", more: str = "", goods: str = GOODS) -> Path:
    (folder / "shop.yaml").write_text(SHOP.format(policy, more))
    (folder / "goods.csv").write_text(goods)
    return folder / "shop.yaml"


@special
@pytest.mark.parametrize("name", ["f.yaml", "f.yml", "f"])
def test_a_scenario_file_that_is_no_file_is_refused(
    make_it: Callable[[Path], None],
    name: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_it(tmp_path / name)
    assert name in refused(capsys, "check", str(tmp_path / name))


@special
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_catalogue_and_a_series_that_are_no_files_are_refused(
    make_it: Callable[[Path], None], ending: str, tmp_path: Path
) -> None:
    file = shop(tmp_path, more=f"reference: {{price: {{kind: replay, path: p.{ending}}}}}\n")
    make_it(tmp_path / f"p.{ending}")
    series = scenarios.load(file)
    plain = scenarios.load(shop(tmp_path))
    catalogue = scenarios.override(plain, [f"catalogue.path={tmp_path}/p.{ending}"])
    for found in (series, catalogue):
        with pytest.raises(InputError, match=rf"p\.{ending}") as caught:
            found.market()
        assert "\n" not in str(caught.value)
        with pytest.raises(InputError, match=rf"p\.{ending}"):
            found.inputs()


@special
@pytest.mark.parametrize("kind", ["network", "greedy"])
@pytest.mark.parametrize("what", ["file", "digest"])
def test_what_was_learnt_in_a_file_that_is_no_file_is_refused(
    make_it: Callable[[Path], None], kind: str, what: str, tmp_path: Path
) -> None:
    make_it(tmp_path / ("p.npz" if what == "file" else "p.npz.sha256"))
    if what == "digest":
        (tmp_path / "p.npz").write_bytes(b"x")
    config = {"path": str(tmp_path / "p.npz")}
    config |= {"policy": make("q_learning", prices=3)} if kind == "greedy" else {}
    with pytest.raises(InputError) as caught:
        make(kind, **config).portable()
    assert "p.npz" in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError):
        learners.load(tmp_path / "p.npz", {"a": np.zeros(1)})


@special
@pytest.mark.parametrize(
    "file",
    [
        "run.json",
        "scenario.yaml",
        "aggregates/part-000000.parquet",
        "aggregates/part-000000.parquet.sha256",
    ],
)
def test_a_run_with_something_else_in_a_files_place_is_refused(
    make_it: Callable[[Path], None], file: str, tmp_path: Path, finished: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    (folder / file).unlink()
    make_it(folder / file)
    with pytest.raises(runs.RunError, match=file) as caught:
        runs.read(folder).aggregates()
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded(tmp_path_factory.mktemp("runs"), small()).folder


@special
def test_nothing_but_a_regular_file_is_replaced(
    make_it: Callable[[Path], None], tmp_path: Path
) -> None:
    target = tmp_path / "figures.json"
    make_it(target)
    before = os.lstat(target)
    with pytest.raises(InputError, match=r"figures\.json: is a .*not replaced"):
        files.check_target(target)
    if not target.is_symlink():
        with pytest.raises(InputError, match=r"figures\.json: is a .*not replaced"):
            files.write_whole(target, b"figures")
    assert os.lstat(target)[:3] == before[:3]
    assert not list(tmp_path.glob(".*"))


@special
@pytest.mark.parametrize(
    "command",
    [["replicate", "calvano_2020", "--sessions", "2", "--set", "n=2"], ["exploit", "retail"]],
    ids=lambda command: command[0],
)
def test_figures_never_replace_what_is_no_ordinary_file(
    make_it: Callable[[Path], None],
    command: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    target = tmp_path / "p"
    make_it(target)
    before = os.lstat(target)
    assert "not replaced" in refused(capsys, *command, "--json", str(target))
    assert os.lstat(target)[:3] == before[:3]


@pytest.mark.parametrize("device", ["/dev/null", "/dev/full", "/dev/zero", "/dev/tty"])
def test_a_device_of_the_system_is_neither_read_nor_replaced(
    device: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = os.lstat(device)
    assert "is not a file but a device" in refused(capsys, "check", device)
    with pytest.raises(InputError, match="is a device, not a regular file, and is not replaced"):
        files.check_target(Path(device))
    assert "a device" in refused(
        capsys, "replicate", "calvano_2020", "--sessions", "2", "--set", "n=2", "--json", device
    )
    assert os.lstat(device)[:3] == before[:3] and stat.S_ISCHR(before.st_mode)


def test_a_file_that_grows_behind_its_size_is_read_no_further_than_the_limit() -> None:
    # Files of /proc say that they have 0 bytes, whatever they hold.
    with pytest.raises(InputError, match="more than 10 bytes"):
        files.read_regular(Path("/proc/self/status"), 10)


def test_a_disk_that_is_full_is_told_with_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError) as caught:
        files.write_whole(tmp_path / "figures.json", b"x")
    assert caught.value.filename == str(tmp_path / "figures.json")


def test_ordinary_files_and_links_to_them_are_read(tmp_path: Path) -> None:
    file = shop(tmp_path)
    (tmp_path / "link.yaml").symlink_to(file)
    assert mos(["check", str(tmp_path / "link.yaml")]) == 0
