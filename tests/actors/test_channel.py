"""A socket channel: every request gets its response, whatever a slow, dead or strange end does."""

import os
import socket
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from mos_agents.actors.channel import (
    HEADER,
    MAX_RESPONSE_BYTES,
    READ_BYTES,
    Channel,
    Listener,
    remove_socket,
    wait,
)
from tests.waiting import PATIENCE


@contextmanager
def answering(answer, channels=1):
    """Channels whose other ends answer so, each with a listener of its own."""
    listeners = [Listener() for _ in range(channels)]
    threads = [threading.Thread(target=d.serve, args=(answer,), daemon=True) for d in listeners]
    for thread in threads:
        thread.start()
    made = [Channel(listener.path, listener.secret) for listener in listeners]
    yield made
    for channel in made:
        channel.close()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()


def answered(channel, block, seconds=PATIENCE):
    channel.request(block)
    wait([channel], seconds)
    return channel.response


@pytest.mark.parametrize("size", [0, 1, 1000, READ_BYTES - 17, READ_BYTES, 5_000_000])
def test_a_block_of_any_size_comes_back_whole(size):
    block = os.urandom(size)
    with answering(lambda asked: asked[::-1]) as (channel,):
        for _ in range(3):
            response = answered(channel, block)
            assert not response.failed and response.block == block[::-1]


def test_an_error_is_one_line_and_the_next_request_is_answered():
    with answering(lambda asked: (1 // (asked[0] - 48), asked)[1]) as (channel,):
        response = answered(channel, b"0")
        assert (
            response.failed
            and b"ZeroDivisionError" in response.block
            and b"\n" not in response.block
        )
        assert answered(channel, b"1").block == b"1"


def test_a_late_response_is_not_taken_for_that_to_the_next_request():
    go_on = threading.Event()

    def slow(asked):
        if asked == b"slow":
            go_on.wait(PATIENCE)
        return asked

    with answering(slow) as (channel,):
        assert answered(channel, b"slow", 0.05) is None and not channel.closed
        assert answered(channel, b"slow", 0.0) is None
        go_on.set()
        assert answered(channel, b"quick").block == b"quick"


def test_requests_are_answered_in_their_order_and_all_of_them_even_after_the_end():
    received, open_again = [], threading.Event()

    def note(asked):
        open_again.wait(PATIENCE)
        received.append(asked)
        return asked

    with answering(note) as (channel,):
        for n in range(20):
            channel.request(b"%d" % n)
        channel.close()
        open_again.set()
    assert received == [b"%d" % n for n in range(20)]


@pytest.mark.parametrize("size", [1_000, 1_000_000])
def test_closing_returns_the_requests_that_were_not_sent(size):
    """The other end answers the requests that arrived whole and ignores a part of one."""
    received, go_on = [], threading.Event()

    def note(asked):
        go_on.wait(PATIENCE)
        received.append(asked[0])
        return asked

    with answering(note) as (channel,):
        for n in range(7):
            channel.request(bytes([n]) * size)
        left = [block[0] for block in channel.close()]
        go_on.set()
    assert received + left == list(range(7)) and bool(left) == (size > 1_000)


def test_a_sender_without_end_delays_nobody(monkeypatch):
    """However much is read, there is more."""
    monkeypatch.setattr(Channel, "_receive", lambda channel: None)
    with answering(lambda asked: asked) as (channel,):
        channel.request(b"well?")
        waiter = threading.Thread(target=wait, args=([channel], 0.1), daemon=True)
        waiter.start()
        waiter.join(PATIENCE)
        assert not waiter.is_alive() and channel.response is None and not channel.closed


@pytest.mark.parametrize(("size", "questions"), [(1_000_000, 7), (5_000, 250)])
def test_a_worker_that_does_not_read_delays_nobody(size, questions):
    """It is sent more than its socket holds, and the others are answered meanwhile."""
    go_on = threading.Event()

    def hang(asked):
        go_on.wait(PATIENCE)
        return asked[:1]

    with answering(hang) as (stuck,), answering(lambda asked: asked) as (awake,):
        for n in range(questions):
            stuck.request(bytes([n]) * size)
            awake.request(bytes([n]))
            wait([awake], None)
            wait([stuck, awake], 0.0)
            assert awake.response.block == bytes([n]) and stuck.response is None
        go_on.set()
        wait([stuck, awake], PATIENCE)
        assert stuck.response.block == bytes([questions - 1])


def test_responses_that_arrive_together_are_told_apart():
    """Those to a hundred requests. Only the last one is still waited for."""
    with answering(lambda asked: asked * 3) as (channel,):
        for n in range(100):
            channel.request(b"%03d" % n)
        time.sleep(0.3)
        wait([channel], PATIENCE)
        assert channel.response.block == b"099" * 3


def test_many_lines_are_waited_for_together():
    """Each answers once the next one has received more than its socket holds."""
    asked_too = [threading.Event() for _ in range(9)]
    asked_too[8].set()

    def turn(asked):
        asked_too[asked[0]].set()
        assert asked_too[asked[0] + 1].wait(PATIENCE)
        return asked[:1]

    with answering(turn, channels=8) as channels:
        for n, channel in enumerate(channels):
            channel.request(bytes([n]) * 1_000_000)
        wait(channels, None)
        assert [channel.response for channel in channels] == [(bytes([n]), False) for n in range(8)]


def test_a_channel_to_a_dead_process_closes_at_once():
    """In a process of its own, which ends in the middle of an answer."""
    listener = Listener()
    if (child := os.fork()) == 0:
        try:
            listener.serve(lambda asked: os._exit(0) if asked == b"die" else asked)
        finally:
            os._exit(1)
    channel = Channel(listener.path, listener.secret)
    assert answered(channel, b"live").block == b"live"
    channel.request(b"die")
    listener._socket.close()  # the copy that this process has
    wait([channel], None)
    os.waitpid(child, 0)
    assert channel.closed and channel.response is None
    assert answered(channel, b"again") is None and channel.closed


@pytest.mark.parametrize("response", [b"", b"x" * 32, b"x" * 31, b"\0" * 5000])
def test_a_caller_without_the_secret_is_refused(response, monkeypatch):
    monkeypatch.setattr("mos_agents.actors.channel.HANDSHAKE_SECONDS", 0.2)
    listener, received = Listener(), []
    thread = threading.Thread(
        target=listener.serve, args=(lambda asked: (received.append(asked), asked)[1],), daemon=True
    )
    thread.start()
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.connect(listener.path)
        stranger.sendall(response)
        stranger.settimeout(PATIENCE)
        try:
            assert stranger.recv(1) == b""  # closed, without a word
        except ConnectionError:
            pass
    monkeypatch.setattr("mos_agents.actors.channel.HANDSHAKE_SECONDS", PATIENCE)
    channel = Channel(listener.path, listener.secret)
    assert answered(channel, b"the one who may").block == b"the one who may"
    assert received == [b"the one who may"]
    channel.close()
    thread.join(PATIENCE)


def test_only_this_user_can_reach_a_listener_and_it_is_removed_after_the_first_caller():
    listener = Listener()
    folder = Path(listener.path).parent
    assert folder.stat().st_mode & 0o777 == 0o700
    thread = threading.Thread(target=listener.serve, args=(lambda asked: asked,), daemon=True)
    thread.start()
    channel = Channel(listener.path, listener.secret)
    assert answered(channel, b"in").block == b"in"
    assert not folder.exists()
    with pytest.raises(OSError):
        Channel(listener.path, listener.secret)
    assert answered(channel, b"still").block == b"still"
    channel.close()
    thread.join(PATIENCE)


def test_removing_a_socket_removes_no_other_file(tmp_path):
    """A worker names the path of its socket, and it may name any path."""
    (tmp_path / "thesis.tex").write_text("")
    remove_socket(str(tmp_path / "socket"))
    remove_socket(str(tmp_path / "thesis.tex"))
    assert (tmp_path / "thesis.tex").exists()


def test_a_listener_that_fails_leaves_no_file(monkeypatch, tmp_path):
    long = tmp_path / ("a" * 120)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    with pytest.raises(OSError, match="too long"):
        Listener()
    assert not list(long.iterdir())


def test_a_response_that_is_too_long_closes_the_channel():
    """Else the channel would read until no memory is left."""
    listener = Listener()

    def greet():
        with listener._accepted() as channel:
            channel.sendall(HEADER.pack(MAX_RESPONSE_BYTES + 1, 1, False) + b"x" * 1000)
            channel.recv(1)

    thread = threading.Thread(target=greet, daemon=True)
    thread.start()
    channel = Channel(listener.path, listener.secret)
    channel.request(b"well?")
    wait([channel], None)
    assert channel.closed and channel.response is None
    thread.join(PATIENCE)
