"""A line between two processes: what is asked comes back, whoever is slow, gone or a stranger."""

import os
import socket
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from mos_agents.actors.line import CHUNK, HEAD, LARGEST, Door, Line, taken_away, wait
from tests.waiting import PATIENCE


@contextmanager
def answering(answer, lines=1):
    """So many lines to one who answers so, each at a door of its own."""
    doors = [Door() for _ in range(lines)]
    threads = [threading.Thread(target=d.serve, args=(answer,), daemon=True) for d in doors]
    for thread in threads:
        thread.start()
    made = [Line(door.path, door.secret) for door in doors]
    yield made
    for line in made:
        line.close()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()


def answered(line, block, seconds=PATIENCE):
    line.ask(block)
    wait([line], seconds)
    return line.answer


@pytest.mark.parametrize("size", [0, 1, 1000, CHUNK - 17, CHUNK, 5_000_000])
def test_a_block_of_any_size_comes_back_whole(size):
    block = os.urandom(size)
    with answering(lambda asked: asked[::-1]) as (line,):
        for _ in range(3):
            said = answered(line, block)
            assert not said.failed and said.block == block[::-1]


def test_an_error_is_told_and_the_next_question_is_answered():
    with answering(lambda asked: (1 // (asked[0] - 48), asked)[1]) as (line,):
        said = answered(line, b"0")
        assert said.failed and b"ZeroDivisionError" in said.block and b"\n" not in said.block
        assert answered(line, b"1").block == b"1"


def test_an_answer_that_comes_too_late_is_not_taken_for_that_to_the_next_question():
    go_on = threading.Event()

    def slow(asked):
        if asked == b"slow":
            go_on.wait(PATIENCE)
        return asked

    with answering(slow) as (line,):
        assert answered(line, b"slow", 0.05) is None and not line.gone
        assert answered(line, b"slow", 0.0) is None
        go_on.set()
        assert answered(line, b"quick").block == b"quick"


def test_questions_are_answered_in_their_order_and_all_of_them_also_after_hanging_up():
    heard, open_again = [], threading.Event()

    def note(asked):
        open_again.wait(PATIENCE)
        heard.append(asked)
        return asked

    with answering(note) as (line,):
        for n in range(20):
            line.ask(b"%d" % n)
        line.close()
        open_again.set()
    assert heard == [b"%d" % n for n in range(20)]


@pytest.mark.parametrize("size", [1_000, 1_000_000])
def test_what_was_not_sent_when_the_line_is_hung_up_is_given_back(size):
    """The other end does the questions that came to their end, and of the next one nothing."""
    heard, go_on = [], threading.Event()

    def note(asked):
        go_on.wait(PATIENCE)
        heard.append(asked[0])
        return asked

    with answering(note) as (line,):
        for n in range(7):
            line.ask(bytes([n]) * size)
        left = [block[0] for block in line.close()]
        go_on.set()
    assert heard + left == list(range(7)) and bool(left) == (size > 1_000)


def test_one_who_talks_on_and_answers_nothing_holds_nobody_up(monkeypatch):
    """However much is taken in, there is more."""
    monkeypatch.setattr(Line, "_pull", lambda line: None)
    with answering(lambda asked: asked) as (line,):
        line.ask(b"well?")
        waiter = threading.Thread(target=wait, args=([line], 0.1), daemon=True)
        waiter.start()
        waiter.join(PATIENCE)
        assert not waiter.is_alive() and line.answer is None and not line.gone


@pytest.mark.parametrize(("size", "questions"), [(1_000_000, 7), (5_000, 250)])
def test_one_who_does_not_read_holds_nobody_up(size, questions):
    """More than a socket holds is put to it, and the others are answered meanwhile."""
    go_on = threading.Event()

    def hang(asked):
        go_on.wait(PATIENCE)
        return asked[:1]

    with answering(hang) as (stuck,), answering(lambda asked: asked) as (awake,):
        for n in range(questions):
            stuck.ask(bytes([n]) * size)
            awake.ask(bytes([n]))
            wait([awake], None)
            wait([stuck, awake], 0.0)
            assert awake.answer.block == bytes([n]) and stuck.answer is None
        go_on.set()
        wait([stuck, awake], PATIENCE)
        assert stuck.answer.block == bytes([questions - 1])


def test_answers_that_come_together_are_told_apart():
    """Those to a hundred questions, of which only the last one is still waited for."""
    with answering(lambda asked: asked * 3) as (line,):
        for n in range(100):
            line.ask(b"%03d" % n)
        time.sleep(0.3)
        wait([line], PATIENCE)
        assert line.answer.block == b"099" * 3


def test_many_lines_are_waited_for_together():
    """Each answers once the one behind it has been asked more than its socket holds."""
    asked_too = [threading.Event() for _ in range(9)]
    asked_too[8].set()

    def turn(asked):
        asked_too[asked[0]].set()
        assert asked_too[asked[0] + 1].wait(PATIENCE)
        return asked[:1]

    with answering(turn, lines=8) as lines:
        for n, line in enumerate(lines):
            line.ask(bytes([n]) * 1_000_000)
        wait(lines, None)
        assert [line.answer for line in lines] == [(bytes([n]), False) for n in range(8)]


def test_one_who_dies_is_gone_at_once_and_stays_so():
    """In a process of its own, which ends in the middle of an answer."""
    door = Door()
    if (child := os.fork()) == 0:
        try:
            door.serve(lambda asked: os._exit(0) if asked == b"die" else asked)
        finally:
            os._exit(1)
    line = Line(door.path, door.secret)
    assert answered(line, b"live").block == b"live"
    line.ask(b"die")
    door._listener.close()  # the copy that this process has
    wait([line], None)
    os.waitpid(child, 0)
    assert line.gone and line.answer is None
    assert answered(line, b"again") is None and line.gone


@pytest.mark.parametrize("said", [b"", b"x" * 32, b"x" * 31, b"\0" * 5000])
def test_a_stranger_without_the_secret_is_not_heard(said, monkeypatch):
    monkeypatch.setattr("mos_agents.actors.line.GREETING_SECONDS", 0.2)
    door, heard = Door(), []
    thread = threading.Thread(
        target=door.serve, args=(lambda asked: (heard.append(asked), asked)[1],), daemon=True
    )
    thread.start()
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.connect(door.path)
        stranger.sendall(said)
        stranger.settimeout(PATIENCE)
        try:
            assert stranger.recv(1) == b""  # hung up, without a word
        except ConnectionError:
            pass
    monkeypatch.setattr("mos_agents.actors.line.GREETING_SECONDS", PATIENCE)
    line = Line(door.path, door.secret)
    assert answered(line, b"the one who may").block == b"the one who may"
    assert heard == [b"the one who may"]
    line.close()
    thread.join(PATIENCE)


def test_a_door_is_for_this_user_alone_and_gone_once_its_caller_is_in():
    door = Door()
    folder = Path(door.path).parent
    assert folder.stat().st_mode & 0o777 == 0o700
    thread = threading.Thread(target=door.serve, args=(lambda asked: asked,), daemon=True)
    thread.start()
    line = Line(door.path, door.secret)
    assert answered(line, b"in").block == b"in"
    assert not folder.exists()
    with pytest.raises(OSError):
        Line(door.path, door.secret)
    assert answered(line, b"still").block == b"still"
    line.close()
    thread.join(PATIENCE)


def test_of_a_door_that_is_taken_away_nothing_else_goes(tmp_path):
    """A host says where its door is, and it may say anything."""
    (tmp_path / "thesis.tex").write_text("")
    taken_away(str(tmp_path / "line"))
    taken_away(str(tmp_path / "thesis.tex"))
    assert (tmp_path / "thesis.tex").exists()


def test_a_door_that_cannot_be_opened_leaves_nothing(monkeypatch, tmp_path):
    long = tmp_path / ("a" * 120)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    with pytest.raises(OSError, match="too long"):
        Door()
    assert not list(long.iterdir())


def test_one_who_announces_more_than_anybody_may_send_is_gone():
    """Else what it sends would be kept until there is no memory left."""
    door = Door()

    def greet():
        with door._admitted() as line:
            line.sendall(HEAD.pack(LARGEST + 1, 1, False) + b"x" * 1000)
            line.recv(1)

    thread = threading.Thread(target=greet, daemon=True)
    thread.start()
    line = Line(door.path, door.secret)
    line.ask(b"well?")
    wait([line], None)
    assert line.gone and line.answer is None
    thread.join(PATIENCE)
