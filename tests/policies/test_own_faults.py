"""Whatever a policy raises is that policy's fault: it loses a move, and nobody's run ends."""

import asyncio
import builtins
import concurrent.futures
import os
import signal
from dataclasses import dataclass
from typing import Any

import pytest

import mos_agents
from mos_agents.actors.plan import ShardPlan
from mos_agents.actors.runtime import LocalRuntime
from mos_agents.actors.shard import Shard
from mos_agents.policies import make
from mos_agents.policies.base import Policy
from mos_agents.policies.faults import LONGEST, describe, is_own_fault
from mos_agents.rollout import ParticipantPool, transitions

TICKS, BATCH, AT = 6, 2, 3
MARKET = mos_agents.retail(firms=1, products=1)


class OfItsOwn(BaseException):
    pass


class UnprintableInterrupt(BaseException):
    def __str__(self) -> str:
        raise OfItsOwn


class SpeaksInExits(Exception):
    def __str__(self) -> str:
        raise SystemExit(3)


class Nameless(type):
    @property
    def __name__(cls) -> str:  # type: ignore[override]
        raise OfItsOwn


class WithoutName(BaseException, metaclass=Nameless):
    pass


class Long(str):
    def split(self, *_: Any) -> Any:  # type: ignore[override]
        raise OfItsOwn


class SaysMore(BaseException):
    def __str__(self) -> str:
        return Long("two\nlines " * 300)


def made(cls: type[BaseException]) -> BaseException:
    for arguments in (
        (),
        ("told", [ValueError()]),
        ("utf-8", b"", 0, 1, "why"),
        ("utf-8", "", 0, 1, "why"),
        ("", 0, 1, "why"),
    ):
        try:
            return cls(*arguments)
        except TypeError:
            continue
    raise AssertionError(cls)


BUILT_IN = sorted(
    {c for c in vars(builtins).values() if isinstance(c, type) and issubclass(c, BaseException)},
    key=lambda c: c.__name__,
)
OTHERS = [
    asyncio.CancelledError,
    concurrent.futures.CancelledError,
    asyncio.TimeoutError,
    OfItsOwn,
    UnprintableInterrupt,
    SpeaksInExits,
    WithoutName,
    SaysMore,
]
KINDS = [*BUILT_IN, *OTHERS]
NAMES = [type.__dict__["__name__"].__get__(c) for c in KINDS]


@dataclass(frozen=True)
class Raises(Policy):
    """Holds its price, and raises at one tick, while it decides or while it learns."""

    error: Any
    where: str = "act"
    kind = "raises"
    atomic = True

    def start(self, spec, batch):
        return None

    def learn(self, spec, observation, reward, memory, draws):
        if self.where == "learn" and draws.tick == AT:
            self.error()
        return memory

    def act(self, spec, observation, memory, draws):
        if self.where == "act" and draws.tick == AT:
            self.error()
        return spec.read(observation, "own_ask")[:, :, None], memory

    def propensity(self, spec, observation, action, memory):
        raise NotImplementedError


def raising(error):
    def act():
        raise error

    return act


def looped(policy):
    """Bytes of all steps of the loop in one process, and the faults that it counted."""
    policies = {"platform": make("cost_plus"), "firm_1": policy}
    pool = ParticipantPool.of(MARKET, policies, 0, BATCH, on_fault="hold")
    played = [
        (transition.step.reward.tobytes(), transition.step.observation.tobytes())
        for transition in transitions(MARKET, policies, ticks=TICKS, markets=BATCH, pool=pool)
    ]
    return played, list(pool.faults.values())


def acted(policy):
    """The same over actors in this process; what was counted and why."""
    plan = ShardPlan("run", "", 0, tuple(range(BATCH)))
    policies = {"platform": make("cost_plus"), "firm_1": policy}
    shard = Shard(plan, LocalRuntime(), (MARKET, policies))
    shard.start()
    played = []
    for _ in range(TICKS):
        shard.advance(1)
        played.append(
            (shard.clearing_house.reward.tobytes(), shard.clearing_house.observation.tobytes())
        )
    return played, shard.advance(0)


def does_nothing():
    raise RuntimeError("the plainest of faults")


@pytest.fixture(scope="module")
def silent():
    """What a policy that says nothing at that tick comes to."""
    played, faults = looped(Raises(does_nothing))
    assert [(f.first_tick, f.decisions) for f in faults] == [(AT, BATCH)]
    return played


def test_there_are_sixty_kinds():
    assert len(KINDS) >= 60


@pytest.mark.parametrize("where", ["act", "learn"])
@pytest.mark.parametrize("kind", KINDS, ids=NAMES)
def test_an_exception_of_any_class_costs_a_move_in_the_loop_and_over_actors(kind, where, silent):
    policy = Raises(raising(made(kind)), where)
    played, faults = looped(policy)
    assert played == silent
    (fault,) = faults
    assert (fault.participant, fault.first_tick, fault.decisions) == ("firm_1", AT, BATCH)
    assert fault.reason and len(fault.reason) <= LONGEST and "\n" not in fault.reason
    over, progress = acted(policy)
    assert over == silent and progress.counts == {"firm_1": {"failed": BATCH}}
    assert progress.reasons == {"firm_1": f"{fault.reason.rstrip()} (tick {AT})"}


def exits():
    raise SystemExit("from within")


def throws_into_a_generator():
    def waits():
        yield

    waiting = waits()
    next(waiting)
    waiting.throw(GeneratorExit("thrown"))
    raise GeneratorExit


def stops_iterating():
    next(iter(()))


def recurses():
    recurses()


def is_cancelled():
    async def main():
        asyncio.current_task().cancel()
        await asyncio.sleep(0)

    asyncio.run(main())


def raises_again():
    try:
        raise KeyboardInterrupt("by itself")
    except KeyboardInterrupt:
        raise


def raises_from():
    raise KeyboardInterrupt from ValueError("why")


WAYS = [
    exits,
    throws_into_a_generator,
    stops_iterating,
    recurses,
    is_cancelled,
    raises_again,
    raises_from,
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_however_it_comes_to_raise_it_costs_a_move(way, silent):
    assert looped(Raises(way))[0] == silent
    assert acted(Raises(way))[0] == silent


def interrupted_by_the_user():
    os.kill(os.getpid(), signal.SIGINT)
    for _ in range(10**8):
        pass


def interrupted_in_a_call():
    os.kill(os.getpid(), signal.SIGINT)
    sum(1 for _ in range(10**8))


def by_a_handler_in_python():
    def handler(number, frame):
        raise KeyboardInterrupt

    former = signal.signal(signal.SIGINT, handler)
    try:
        interrupted_by_the_user()
    except KeyboardInterrupt as error:
        assert not is_own_fault(error)
        raise
    finally:
        signal.signal(signal.SIGINT, former)


@pytest.mark.parametrize("play", [looped, acted], ids=lambda f: f.__name__)
@pytest.mark.parametrize("way", [interrupted_by_the_user, interrupted_in_a_call])
def test_the_users_own_interruption_ends_the_run(way, play):
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            play(Raises(way))
    finally:
        signal.signal(signal.SIGINT, former)


def test_an_interruption_by_a_handler_in_python_is_the_users():
    with pytest.raises(KeyboardInterrupt):
        by_a_handler_in_python()


class Hidden:
    __class__ = property(lambda self: does_nothing())  # type: ignore[assignment]

    def __repr__(self):
        return Long("hidden\nin lines")


@pytest.mark.parametrize(
    ("thing", "message"),
    [
        (ValueError("a\nb"), "ValueError: a b"),
        (Hidden(), "hidden in lines"),
        (3, "3"),
        (UnprintableInterrupt(), "a UnprintableInterrupt that cannot be shown"),
        (WithoutName("why"), "WithoutName: why"),
        (KeyError("k"), "KeyError: 'k'"),
    ],
    ids=lambda thing: type.__dict__["__name__"].__get__(type(thing)),
)
def test_a_strangers_thing_is_described_in_one_line(thing, message):
    assert describe(thing) == message
