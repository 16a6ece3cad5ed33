"""Messages as plain bytes: what comes out is what went in; a stranger's block is refused."""

import pickle
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from hypothesis.extra import numpy as arrays

from mos_agents.actors import wire
from mos_agents.actors.messages import Call, MessageError, Reply, checked_reply
from mos_agents.actors.summaries import Summaries
from tests.actors.worlds import SHOP, LocalRuntime, one_shard

NUMBERS = some.floats(width=64)  # infinities and numbers that are none among them
NAMES = some.text(max_size=8)


def array(*shape):
    return arrays.arrays(np.float64, shape, elements=NUMBERS)


CALLS = some.integers(1, 4).flatmap(
    lambda batch: some.lists(
        some.builds(
            Call,
            NAMES,
            some.integers(0, 2**62),
            NAMES,
            some.integers(0, 99),
            some.integers(0, 3).flatmap(lambda size: array(batch, size)),
            array(batch),
        ),
        max_size=3,
    )
)
REPLIES = some.lists(
    some.builds(
        Reply,
        NAMES,
        some.integers(0, 2**62),
        NAMES,
        some.integers(0, 99),
        some.none() | some.tuples(*[some.integers(0, 3)] * 3).flatmap(lambda s: array(*s)),
        NAMES,
    ),
    max_size=3,
)


def bits(message):
    return [
        (part.dtype, part.shape, part.tobytes()) if isinstance(part, np.ndarray) else part
        for part in message
    ]


@given(CALLS)
def test_calls_arrive_to_the_bit_and_nobody_can_write_to_them(calls):
    block = b"".join(wire.pieces(wire.pack_calls(calls)))
    found = wire.unpack_calls(block)
    assert list(map(bits, found)) == list(map(bits, calls))
    assert all(type(call) is Call for call in found)
    assert not any(a.flags.writeable for call in found for a in call[4:])


@given(REPLIES, some.floats(0.0, 1e9))
def test_replies_arrive_to_the_bit_with_the_seconds_they_took(replies, seconds):
    found, took = wire.unpack_replies(wire.pack_replies(replies, seconds))
    assert list(map(bits, found)) == list(map(bits, replies)) and took == seconds


def test_the_numbers_of_a_view_are_sent_and_not_what_it_looks_at():
    whole = np.arange(12.0).reshape(3, 4)
    call = Call("run", 1, "firm_1", 0, whole[:, 1:3], whole[:, 0])
    block = wire.pack_calls([call])
    assert bits(wire.unpack_calls(block)[0]) == bits(call)
    assert len(block) < 9 * 8 + 80 and np.float64(11.0).tobytes() not in block


@pytest.mark.parametrize("size", [0, 1, wire.INLINE, wire.INLINE + 1, 3 * wire.INLINE, wire.MOST])
def test_a_block_is_sent_in_pieces_that_ray_sends_along(size):
    block = random.Random(size).randbytes(size)
    found = wire.pieces(block)
    assert b"".join(found) == block and max(map(len, found)) <= wire.INLINE < 100_000
    large = block + bytes(wire.MOST + 1)
    assert wire.pieces(large) == [large]  # left to the object store


REPLY = Reply("run", 7, "firm_1", 2, np.ones((3, 2, 1)))
CALL = Call("run", 7, "firm_1", 2, np.zeros((3, 4)), np.zeros(3))


def block(heading, numbers=b""):
    return wire.LENGTH.pack(len(heading)) + heading + numbers


STRANGE = [
    b"",
    b"\0",
    bytes(4),
    block(b"null"),
    block(b"{}"),
    block(b"[0.1]"),
    block(b"[0.1,7]"),
    block(b"[0.1,[[]]]"),
    block(b"[0.1,[7]]"),
    block(b"[0.1,null]"),
    block(b"\xff\xfe"),
    block(b"[" * 100_000),
    b"\xff\xff\xff\xff[]",
    pickle.dumps([REPLY]),
    block(b'["soon",[]]'),
    block(b"[null,[]]"),
    block(b"[0.1,[]]", bytes(8)),
    block(b"[0.1,[]]", bytes(3)),
    block(b'[0.1,[["run",7,"firm_1",2,[3,2,1],""]]]', bytes(40)),
    block(b'[0.1,[["run",7,"firm_1",2,[3,2,1],""]]]', bytes(56)),
    block(b'[0.1,[["run",7,"firm_1",2,[-1,2,1],""]]]', bytes(48)),
    block(b'[0.1,[["run",7,"firm_1",2,[6.0],""]]]', bytes(48)),
    block(b'[0.1,[["run",7,"firm_1",2,[true,6],""]]]', bytes(48)),
    block(b'[0.1,[["run",7,"firm_1",2,6,""]]]', bytes(48)),
    block(b'[0.1,[["run",7,"firm_1",2,[99999999999999999999,0],""]]]'),
    block(b'[0.1,[["run",7,"firm_1",2,[0,99999999999999999999],""]]]'),
    block(b'[0.1,[["run",7,"firm_1",2,"666666",""]]]', bytes(48)),
    block(b'[0.1,[["run",7,"firm_1",2,null,""]]]', bytes(48)),
    block(b'[0.1,[["run",7,"firm_1",2,null]]]'),
    block(b"[1e999,[" + b"9" * 5000 + b"]]"),
]


@pytest.mark.parametrize("strange", STRANGE, ids=lambda b: b[:60].decode("latin-1"))
def test_a_block_of_anything_else_is_refused_in_one_line(strange):
    with pytest.raises(MessageError) as refusal:
        wire.unpack_replies(strange)
    assert "answered with no block" in str(refusal.value)


def test_a_thousand_changed_blocks_are_refused_or_read_as_replies_that_are_checked():
    """Whatever a stranger sends: a MessageError, or a Reply which then is to answer the call."""
    good, rng = wire.pack_replies([REPLY], 0.25), random.Random(5)
    taken = 0
    for _ in range(1000):
        changed = bytearray(good)
        for _ in range(rng.choice([1, 1, 3])):
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
        if rng.random() < 0.2:
            del changed[rng.randrange(len(changed)) :]
        try:
            (reply,), _ = wire.unpack_replies(bytes(changed))
            checked_reply(reply, CALL)
            taken += 1  # other numbers in the right place: the market's business
        except (MessageError, ValueError):
            continue
    assert 0 < taken < 900


# --- summaries ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("recorded", "every", "rewards"), [(2, 1, True), (1, 3, False), (0, 1, 1)])
def test_summaries_arrive_as_they_were(recorded, every, rewards):
    shard = one_shard(SHOP, LocalRuntime(), recorded=recorded, every=every, rewards=bool(rewards))
    shard.start()
    for ticks in (1, 7):
        sent = shard.advance(ticks).summaries
        found = pickle.loads(pickle.dumps(sent, 5))
        assert type(found) is Summaries and len(found) == ticks
        for one, other in zip(sent, found, strict=True):
            assert one.means.tobytes() == other.means.tobytes()
            assert (one.rewards is None) == (other.rewards is None) == (not rewards)
            assert not rewards or one.rewards.tobytes() == other.rewards.tobytes()
            assert (one.row is None) == (other.row is None)
            if one.row is not None:
                assert bits(one.row) == bits(other.row)
    assert list(pickle.loads(pickle.dumps(Summaries()))) == []


def test_many_summaries_travel_as_few_arrays():
    shard = one_shard(SHOP, LocalRuntime(), markets=1)
    shard.start()
    few, many = (len(pickle.dumps(shard.advance(ticks).summaries, 5)) for ticks in (1, 100))
    one = shard.advance(1).summaries[0]
    numbers = one.means.nbytes + one.rewards.nbytes + sum(array.nbytes for array in one.row[1:])
    assert many < few + 100 * (numbers + 8)  # 8: a tick's number and whether it is recorded
    buffers = []
    pickle.dumps(shard.advance(100).summaries, 5, buffer_callback=buffers.append)
    assert len(buffers) <= 6
