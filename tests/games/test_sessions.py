"""Sessions over cores and clusters: the same in any company, kept when done, never mixed up."""

import os

import numpy as np
import pytest

from mos_agents.games.repeated import RepeatedGame
from mos_agents.games.sessions import Played, play_sessions
from mos_agents.market.types import InputError
from mos_agents.runs import files
from mos_agents.runs.files import RunError
from mos_agents.tasks import ThreadPool
from tests.games.worlds import everybody, logit, quick

LENGTH = {"periods": 20_000, "window": 1000}


@pytest.fixture(scope="module")
def game():
    market = logit(2)
    return RepeatedGame.of(market, everybody(market, quick()))


@pytest.fixture(scope="module")
def whole(game):
    return play_sessions(game, seed=0, sessions=25, **LENGTH)


def same(one: Played, other: Played) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(other, name), equal_nan=name == "late")
        for name in Played.__dataclass_fields__
    )


def test_a_session_is_the_same_alone_in_any_order_and_on_any_number_of_workers(game, whole):
    assert same(play_sessions(game, sessions=[7], **LENGTH), whole.part([7]))
    order = [20, 3, 11]
    assert same(play_sessions(game, sessions=order, per_task=1, **LENGTH), whole.part(order))
    assert same(play_sessions(game, sessions=25, workers=1, per_task=4, **LENGTH), whole)
    assert same(play_sessions(game, sessions=25, workers=3, per_task=1, **LENGTH), whole)


def test_other_sessions_and_other_seeds_are_other_plays(game, whole):
    assert (
        len(
            {
                tuple(level) + tuple(best)
                for level, best in zip(whole.level.tolist(), whole.best.tolist(), strict=True)
            }
        )
        > 20
    )
    other = play_sessions(game, seed=1, sessions=25, **LENGTH)
    assert not np.array_equal(other.best, whole.best)


def test_the_tail_is_the_mean_reward_of_the_last_periods(game):
    ended = play_sessions(game, sessions=2, periods=3000, window=0, tail=400)
    for row, session in enumerate((0, 1)):
        state = game.start(0, session)
        trace = np.empty((3000, 2), np.int64)
        game.advance(state, 0, session, 3000, trace=trace)
        paid = game.stage.payoffs[game.stage.profile(trace[-400:])]
        np.testing.assert_allclose(ended.late[row], paid.mean(axis=0), rtol=1e-12)
        assert ended.periods[row] == 3000 and not ended.converged[row]


def test_finished_tasks_are_kept_and_not_played_again(game, whole, tmp_path):
    class Breaks(ThreadPool):
        """Stops after two tasks, as a machine that is switched off."""

        ended = 0

        def outcome(self, handle):
            if self.ended == 2:
                raise KeyboardInterrupt
            self.ended += 1
            return super().outcome(handle)

    folder = tmp_path / "play"
    with pytest.raises(KeyboardInterrupt):
        play_sessions(game, sessions=25, folder=folder, per_task=5, workers=Breaks(1), **LENGTH)
    assert len(list(folder.glob("sessions-*.npz"))) == 2
    seen = []
    found = play_sessions(
        game,
        sessions=25,
        folder=folder,
        per_task=5,
        progress=lambda d, n: seen.append((d, n)),
        **LENGTH,
    )
    assert seen[0] == (10, 25) and seen[-1] == (25, 25)
    assert same(found, whole)


class Cut(BaseException):
    """The process ends here."""


class Machine:
    """`os` until the power is cut: from the call numbered `at` on, nothing happens any more."""

    def __init__(self, at: int):
        self.left = at

    def __getattr__(self, name):
        real = getattr(os, name)
        if name not in ("open", "write", "fsync", "close", "replace", "unlink"):
            return real

        def call(*given):
            self.left -= 1
            if self.left < 0:
                if name == "close":  # whatever a dead process held open is closed for it
                    real(*given)
                raise Cut
            return real(*given)

        return call


def test_wherever_the_play_is_cut_the_folder_is_whole_or_goes_on(game, tmp_path, monkeypatch):
    wanted = play_sessions(game, sessions=2, per_task=1, workers=1, **LENGTH)
    cuts, ended = 0, False
    while not ended:
        folder = tmp_path / str(cuts)
        with monkeypatch.context() as patch:
            patch.setattr(files, "os", Machine(cuts))
            try:
                play_sessions(game, sessions=2, folder=folder, per_task=1, workers=1, **LENGTH)
                ended = True
            except Cut:
                cuts += 1
        found = play_sessions(game, sessions=2, folder=folder, per_task=1, workers=1, **LENGTH)
        assert same(found, wanted)
    # The record, and two results with their digests: each file is opened, written, forced, closed
    # and renamed, and the folder opened, forced and closed after it. The lock is taken and let go.
    assert cuts == 5 * 8 + 2


def test_a_folder_of_another_play_is_refused(game, tmp_path):
    play_sessions(game, sessions=2, folder=tmp_path / "play", **LENGTH)
    for change in ({"seed": 1}, {"window": 999}):
        with pytest.raises(RunError, match="another game, seed or length"):
            play_sessions(game, sessions=2, folder=tmp_path / "play", **(LENGTH | change))
    market = logit(2)
    other = RepeatedGame.of(market, everybody(market, quick(alpha=0.2)))
    with pytest.raises(RunError, match="another game"):
        play_sessions(other, sessions=2, folder=tmp_path / "play", **LENGTH)


def test_a_damaged_part_is_told_and_not_used(game, tmp_path):
    play_sessions(game, sessions=2, folder=tmp_path / "play", **LENGTH)
    part = next((tmp_path / "play").glob("sessions-*.npz"))
    data = bytearray(part.read_bytes())
    for at in range(0, len(data), max(1, len(data) // 50)):
        part.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        with pytest.raises(RunError, match="damaged"):
            play_sessions(game, sessions=2, folder=tmp_path / "play", **LENGTH)


def test_a_folder_with_other_files_is_left_alone(game, tmp_path):
    (tmp_path / "letter.txt").write_text("dear reader")
    with pytest.raises(RunError, match="holds other files"):
        play_sessions(game, sessions=1, folder=tmp_path, **LENGTH)
    assert [p.name for p in tmp_path.iterdir()] == ["letter.txt"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"sessions": 0},
        {"sessions": [1, 1]},
        {"sessions": [-1]},
        {"periods": 0},
        {"window": -1},
        {"tail": -1},
        {"seed": -1},
        {"per_task": 0},
        {"workers": 0},
        {"tail": 30_000},
        {"tail": 400},
    ],
)
def test_what_cannot_be_played_is_refused_in_one_line(game, wrong):
    with pytest.raises(InputError) as refusal:
        play_sessions(game, **({"sessions": 2} | LENGTH | wrong))
    assert "\n" not in str(refusal.value) and str(next(iter(wrong))) in str(refusal.value)
