"""Shards, workers, order, crashes and liars: none of them moves a bit of anybody else's market."""

import random
import shutil
from functools import lru_cache
from itertools import permutations

import numpy as np
import pytest

from mos_agents import scenarios
from mos_agents.actors import shard as shard_module
from mos_agents.actors.clearing_house import ClearingHouse
from mos_agents.actors.driver import LocalShards
from mos_agents.actors.journal import Journal
from mos_agents.actors.messages import Reply
from mos_agents.actors.participant import Snapshot
from mos_agents.actors.runtime import Answer, LocalRuntime
from mos_agents.market.types import InputError
from mos_agents.runs.files import RunError
from tests.actors.worlds import (
    SHOP,
    Bent,
    driven,
    driver,
    instead,
    one_shard,
    undisturbed,
    with_policy,
    with_silence,
)

TICKS, MARKETS = 12, 5


def reshuffled(seed):
    """Every tick the workers answer in another order."""
    rng = random.Random(seed)
    return LocalShards(lambda n: rng.sample(range(n), n))


# --- the same bits --------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 20_261])
@pytest.mark.parametrize("preset", scenarios.presets())
def test_every_layout_of_shards_and_hosts_has_the_hash_of_the_loop(preset, seed):
    scenario = scenarios.load(preset).model_copy(update={"seed": seed})
    expected = undisturbed(scenario, TICKS, MARKETS)
    for count in (1, 2, 5):
        for workers in (0, 1, 2):
            made = driven(scenario, TICKS, MARKETS, reshuffled(seed), count=count, workers=workers)
            assert made.hash == expected, (count, workers)
            assert not made.health.counts and not made.health.withdrawn
    assert undisturbed(scenario, TICKS, MARKETS, seed=seed + 1) != expected


def test_a_thousand_orders_in_which_hosts_may_answer_give_one_hash(strangers):
    scenario = with_policy(
        "firm_1", "recalls", firms := scenarios.preset("retail", firms=6, products=1)
    )
    assert len(firms.policies()) == 7
    orders = random.Random(3).sample(list(permutations(range(7))), 1000)
    left = iter([range(7), *orders])  # the first for the workers' start
    shard = one_shard(scenario, LocalRuntime(lambda n: next(left)), markets=2)
    shard.start()
    shard.advance(1000)
    assert next(left, None) is None
    assert shard.digest.hexdigest() == undisturbed(scenario, 1000, 2)


def test_what_the_driver_gives_out_is_that_of_the_whole_batch():
    def given(count):
        made = driver(SHOP, 6, MARKETS, count=count, recorded=3)
        return list(made.run())

    for one, several in zip(given(1), given(5), strict=True):
        assert one.tick == several.tick == one.row.tick
        for a, b in zip(one.row[1:], several.row[1:], strict=True):
            assert np.array_equal(a, b, equal_nan=True)
        np.testing.assert_allclose(one.means, several.means, rtol=1e-12)


# --- crashes of the driver and the clearing house -------------------------------------------------


class Crash(BaseException):
    """The end of the process, as far as a test in one process can have it."""


@lru_cache(maxsize=4)
def the_run(kind):
    """What an undisturbed run gives: its hash, and every tick's means."""
    made = driver(crashing(kind), 40, 3)
    means = [tick.means for tick in made.run()]
    assert made.hash == undisturbed(crashing(kind), 40, 3)
    return made.hash, means


def crashing(kind):
    return with_policy("firm_1", kind)


def die_at(monkeypatch, rng, at):
    """Let the process end at tick `at`, at a random place; give what undoes it."""
    place = rng.choice(["journal", "clear", "after", "half a record", "snapshot", "log"])
    with monkeypatch.context() as patch:
        if place == "clear":  # the record is on the disk, the tick is not cleared
            patch.setattr(ClearingHouse, "clear", dying(ClearingHouse.clear, at, 1, before=True))
        elif place == "after":  # cleared, and nobody was told
            patch.setattr(ClearingHouse, "clear", dying(ClearingHouse.clear, at, 1, before=False))
        elif place == "journal":  # nothing on the disk yet
            patch.setattr(Journal, "append", dying(Journal.append, at, 1, before=True))
        elif place == "half a record":
            patch.setattr(Journal, "append", half_written(at, rng))
        elif place == "snapshot":  # the new snapshot is there, the old journal too
            patch.setattr(Journal, "open", dying(Journal.open, at, 1, before=True, least=True))
        else:  # between two words to the driver
            patch.setattr(
                shard_module.Shard, "_progress", dying_progress(shard_module.Shard._progress, at)
            )
        yield place


def dying(method, at, argument, before, least=False):
    def wrapped(self, tick, *arguments):
        hit = tick >= at and tick > 0 if least else tick == at
        if hit and before:
            raise Crash
        result = method(self, tick, *arguments)
        if hit:
            raise Crash
        return result

    return wrapped


def dying_progress(method, at):
    def wrapped(self, summaries):
        if (
            self.clearing_house.tick > at
            and summaries
            and self.clearing_house.tick - len(summaries) <= at
        ):
            raise Crash
        return method(self, summaries)

    return wrapped


def half_written(at, rng):
    append = Journal.append

    def wrapped(self, tick, actions, note):
        append(self, tick, actions, note)
        if tick == at:
            with open(self.folder / sorted(self.folder.glob("*.log"))[-1].name, "r+b") as file:
                file.truncate(file.seek(0, 2) - rng.randint(1, 100))
            raise Crash

    return wrapped


@pytest.mark.parametrize("audit", [False, True], ids=["", "audit"])
@pytest.mark.parametrize("every", [7, 1000], ids=["checkpoints", "journal only"])
@pytest.mark.parametrize("count", [1, 2])
def test_a_run_that_crashes_anywhere_goes_on_to_the_same_hash(
    tmp_path, monkeypatch, strangers, audit, every, count
):
    """Seven crashes for each of eight layouts: 56, at random places of random ticks."""
    kind = "recalls" if count == 1 else "writes_over"
    expected, means = the_run(kind)
    rng, places, abandoned = random.Random(f"{audit}{every}{count}"), [], []
    for trial in range(7):
        folder = tmp_path / str(trial)
        options = {"folder": str(folder), "audit": audit, "checkpoint_every": every, "count": count}
        recorded, crashed = [], 0
        while len(recorded) < 40:
            crash = crashed < 1 + trial % 2
            at = rng.randint(len(recorded), 39)
            made = driver(crashing(kind), 40, 3, workers=rng.choice([0, 1, 2]), **options)
            abandoned.append(run := made.run(recorded=len(recorded)))
            given = []
            hook = die_at(monkeypatch, rng, at if crash else 10**9)
            place = next(hook)
            try:
                for tick in run:
                    assert tick.tick == len(recorded) + len(given)
                    assert np.array_equal(tick.means, means[tick.tick], equal_nan=True) or count > 1
                    given.append(tick)
                    if (tick.tick + 1) % every == 0:  # on the disk before the checkpoint
                        recorded, given = [*recorded, *given], []
            except Crash:
                crashed += 1
                places.append(place)
                # A part of what was given since the checkpoint may have been recorded, too.
                recorded += given[: rng.randint(0, len(given))]
            else:
                recorded += given
            hook.close()
        assert [tick.tick for tick in recorded] == list(range(40))
        assert made.hash == expected
        shutil.rmtree(folder)
    assert len(set(places)) >= 4


def test_an_acknowledged_tick_that_the_journal_has_lost_is_told_not_played_again(tmp_path):
    run = driver(SHOP, 30, 3, folder=str(tmp_path)).run()
    given = [next(run).tick for _ in range(9)]
    run.close()
    segment = next((tmp_path / "shard-0000").glob("*.log"))
    segment.write_bytes(segment.read_bytes()[: segment.stat().st_size // 2])
    again = driver(SHOP, 30, 3, folder=str(tmp_path)).run(recorded=len(given))
    with pytest.raises(InputError, match="before the recorded 9"):
        list(again)


def test_a_snapshot_of_another_run_is_refused(tmp_path):
    driven(SHOP, 6, 2, folder=str(tmp_path), checkpoint_every=3)
    made = driver(SHOP, 6, 2, folder=str(tmp_path))
    made._plans[0] = made._plans[0].__class__(**{**made._plans[0].__dict__, "run": "another"})
    with pytest.raises(InputError, match="a-run"):
        list(made.run())


# --- workers that die -----------------------------------------------------------------------------


class RandomCrashes(LocalRuntime):
    """Kills a random worker before a tick with a certain chance, also one that was just born."""

    def __init__(self, rng, chance):
        super().__init__(lambda n: rng.sample(range(n), n))
        self.rng, self.chance, self.killed, self.alive = rng, chance, 0, set()

    def start(self, parts, name):
        handle = super().start(parts, name)
        self.alive.add(handle)
        return handle

    def ask(self, asks, deadline):
        for handle, verb, _ in asks:
            if verb in ("decide", "snapshot") and self.rng.random() < self.chance:
                self.killed += handle in self.alive
                self.alive.discard(handle)
                super().kill(handle)
        return super().ask(asks, deadline)


@pytest.mark.parametrize("deadline", [None, 60.0])
@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize("kind", ["recalls", "writes_over"])
def test_hosts_that_die_at_any_time_come_back_and_nothing_changes(
    kind, workers, deadline, strangers, tmp_path
):
    scenario = with_policy("firm_1", kind)
    runtime = RandomCrashes(random.Random(f"{kind}{workers}"), 0.1)
    shard = one_shard(
        scenario, runtime, workers=workers, restarts=10**6, folder=str(tmp_path), deadline=deadline
    )
    shard.start()
    for _ in range(8):
        shard.advance(5)
        shard.checkpoint()
    runtime.chance = 0.0
    shard.advance(1)  # who died at the last checkpoint is back
    assert runtime.killed >= 3
    assert shard.digest.hexdigest() == undisturbed(scenario, 41, 3)
    counts = shard.advance(0).counts
    assert sum(c["restarted"] for c in counts.values()) >= runtime.killed
    assert {kind for c in counts.values() for kind in c} == {"restarted"}


@pytest.mark.parametrize("restarts", [0, 2])
def test_a_host_without_lives_left_is_withdrawn_and_the_market_goes_on(restarts):
    class Mortal(LocalRuntime):
        def start(self, parts, name):
            handle = super().start(parts, name)
            mortal.add(handle) if name == "worker-1" else None
            return handle

        def ask(self, asks, deadline):
            for handle, verb, arguments in asks:
                if handle in mortal and verb == "decide" and arguments[0][0].tick >= 6:
                    self.kill(handle)
            return super().ask(asks, deadline)

    mortal: set[int] = set()
    shard = one_shard(SHOP, Mortal(), restarts=restarts)
    shard.start()
    progress = shard.advance(20)
    assert progress.withdrawn == ("firm_1",) and progress.tick == 20
    assert progress.counts == ({"firm_1": {"restarted": restarts}} if restarts else {})
    assert len(mortal) == restarts + 1
    assert shard.digest.hexdigest() == with_silence(SHOP, 20, 3, {}, {"firm_1": 6})


def test_a_run_goes_on_without_anybody():
    shard = one_shard(SHOP, RandomCrashes(random.Random(0), 1.0), restarts=1)
    shard.start()
    progress = shard.advance(5)
    assert progress.withdrawn == ("firm_1", "firm_2", "platform") and progress.tick == 5
    gone = {"platform": 0, "firm_1": 0, "firm_2": 0}
    assert shard.digest.hexdigest() == with_silence(SHOP, 5, 3, {}, gone)


def test_the_withdrawn_stay_so_and_counts_go_on_after_a_resumption(tmp_path, strangers):
    """Also where the withdrawn had memories, which nobody can give back to them."""
    scenario = with_policy("firm_1", "recalls")

    def bent():
        return Bent(names=("firm_1",), bend=instead("nonsense"), when=range(4, 99))

    def begun(folder):
        shard = one_shard(scenario, bent(), restarts=1, patience=2, folder=str(folder))
        shard.start()
        return shard

    straight = begun(tmp_path / "straight")
    straight.advance(18)
    expected = straight.advance(0)
    assert expected.counts == {"firm_1": {"misaddressed": 9, "restarted": 1}}
    for stops in ([5], [7], [6, 9], [3, 12], [5, 6, 7, 8, 9]):
        for checkpoints in (False, True):
            folder = tmp_path / f"{stops}{checkpoints}"
            for stop in stops:
                shard = begun(folder)
                shard.advance(stop - shard.clearing_house.tick)
                if checkpoints:
                    shard.checkpoint()
                shard.close()
            shard = begun(folder)
            shard.advance(18 - shard.clearing_house.tick)
            found = shard.advance(0)
            assert found.withdrawn == ("firm_1",)
            late = {k: v for k, v in found.counts["firm_1"].items() if k != "restarted"}
            assert late.keys() == {"misaddressed"}


# --- workers that lie -----------------------------------------------------------------------------


def each(change):
    """A bend of every reply, where the worker gave a list of them."""

    def bend(answer, verb, arguments):
        return answer._replace(value=[change(r) for r in answer.value])

    return bend


def acting(change):
    return each(lambda r: r._replace(action=change(r.action)))


class UnreadableObject:
    def __array__(self, *_, **__):
        raise RuntimeError("no array today")

    def __len__(self):
        raise OSError("no length either")

    def __repr__(self):
        raise RuntimeError("no picture")


class ListSubclass(list):
    def __iter__(self):
        raise RuntimeError("not to be walked")


class ReplySubclass(Reply):
    pass


def number(value):
    def put(action):
        action = action.copy()
        action[:, 0, 0] = value
        return action

    return acting(put)


MISADDRESSED = {
    "nothing": instead(None),
    "a number": instead(7),
    "text": instead("reply"),
    "a dictionary": instead({}),
    "an empty list": instead([]),
    "a list too long": lambda a, *_: Answer([*a.value, *a.value]),
    "a tuple of replies": lambda a, *_: Answer(tuple(a.value)),
    "a list of its own kind": lambda a, *_: Answer(ListSubclass(a.value)),
    "a trap": instead(UnreadableObject()),
    "a generator": lambda a, *_: Answer(r for r in a.value),
    "a list of nothing": instead([None]),
    "a list of traps": instead([UnreadableObject()]),
    "an action without a reply": lambda a, *_: Answer([a.value[0].action]),
    "a tuple like a reply": lambda a, *_: Answer([tuple(a.value[0])]),
    "a subclass of a reply": each(lambda r: ReplySubclass(*r)),
    "another run": each(lambda r: r._replace(run="another")),
    "an older tick": each(lambda r: r._replace(tick=r.tick - 1)),
    "a tick to come": each(lambda r: r._replace(tick=r.tick + 1)),
    "a tick that is no integer": each(lambda r: r._replace(tick=float(r.tick))),
    "someone else's name": each(lambda r: r._replace(participant="firm_2")),
    "the platform's name": each(lambda r: r._replace(participant="platform")),
    "nobody's name": each(lambda r: r._replace(participant="nobody")),
    "a name that is no text": each(lambda r: r._replace(participant=UnreadableObject())),
    "a former life": each(lambda r: r._replace(generation=r.generation - 1)),
    "a life to come": each(lambda r: r._replace(generation=r.generation + 1)),
    "a fault that is no text": each(lambda r: r._replace(fault=UnreadableObject())),
    "a fault that is nothing": each(lambda r: r._replace(fault=None)),
}
FAILED = {
    "an error": lambda *_: Answer(error="ValueError: a bug"),
    "no action": acting(lambda a: None),
    "no action and a fault": each(lambda r: r._replace(action=None, fault="ValueError: a bug")),
    "a ragged action": acting(lambda a: [[[1.0]], [[1.0], [2.0, 3.0]]]),
    "objects": acting(lambda a: a.astype(object)),
    "complex numbers": acting(lambda a: a + 0j),
    "text for numbers": acting(lambda a: a.astype(str)),
    "bytes": acting(lambda a: a.tobytes()),
    "booleans": acting(lambda a: a > 0.0),
    "dates": acting(lambda a: a.astype("M8[s]")),
    "records": acting(lambda a: np.zeros(a.shape, [("x", "f8")])),
    "an action that is a trap": acting(lambda a: UnreadableObject()),
    "too few markets": acting(lambda a: a[:1]),
    "too many markets": acting(lambda a: np.concatenate([a, a])),
    "too few listings": acting(lambda a: a[:, :1]),
    "somebody's listings too": acting(lambda a: np.concatenate([a, a], axis=1)),
    "too many features": acting(lambda a: np.concatenate([a, a], axis=2)),
    "one number": acting(lambda a: 3.0),
    "an empty array": acting(lambda a: np.zeros(0)),
    "axes reversed": acting(lambda a: a.T),
}
LATE = {"nothing in time": lambda *_: Answer(late=True, error="late")}
REFUSED = {
    "NaN": number(np.nan),
    "nothing but NaN": acting(lambda a: np.full_like(a, np.nan)),
    "infinity": number(np.inf),
    "minus infinity": number(-np.inf),
    "1e308": number(1e308),
    "-1e308": number(-1e308),
    "negative": number(-1.0),
    "zero": number(0.0),
    "a denormal": number(5e-324),
    "over the limit": number(np.nextafter(1000.0, 2000.0)),
    "huge integers": acting(lambda a: np.full(a.shape, 2**62)),
    "infinity in half precision": acting(lambda a: np.full(a.shape, 1e9).astype(np.float16)),
}
NONSENSE = ("NaN", "nothing but NaN", "infinity", "minus infinity", "infinity in half precision")
ROGUES = [
    (name, "not finite" if name in NONSENSE else kind, bend)
    for kind, bends in (
        ("misaddressed", MISADDRESSED),
        ("failed", FAILED),
        ("late", LATE),
        ("refused", REFUSED),
    )
    for name, bend in bends.items()
]
SILENT = (3, 4, 7)


@lru_cache(maxsize=8)
def without_firm_1(withdraws):
    return with_silence(rules(withdraws), TICKS, 3, {"firm_1": SILENT})


@lru_cache(maxsize=2)
def rules(withdraws):
    on_refusal = "withdraw" if withdraws else "stand"
    return with_policy("firm_1", "reactive", quotes__on_refusal=on_refusal)


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
@pytest.mark.parametrize("withdraws", [False, True], ids=["stands", "withdraws"])
@pytest.mark.parametrize(("name", "kind", "bend"), ROGUES, ids=[r[0] for r in ROGUES])
def test_a_liar_is_counted_and_the_market_is_as_if_it_had_said_nothing(name, kind, bend, withdraws):
    """Everybody's quotes, executions and positions, the liar's too, bit for bit."""
    runtime = Bent(names=("firm_1",), bend=bend, when=SILENT)
    shard = one_shard(rules(withdraws), runtime)
    shard.start()
    progress = shard.advance(TICKS)
    assert shard.digest.hexdigest() == without_firm_1(withdraws)
    assert progress.counts == {"firm_1": {kind: 3 * len(SILENT)}}
    assert progress.withdrawn == ()


def test_the_silence_that_liars_are_measured_by_is_not_the_undisturbed_run():
    hashes = {without_firm_1(False), without_firm_1(True), undisturbed(SHOP, TICKS, 3)}
    assert len(hashes) == 3


@pytest.mark.parametrize("bend", [FAILED["an error"], *MISADDRESSED.values()])
def test_a_host_that_never_makes_sense_is_started_anew_and_withdrawn_in_the_end(bend):
    shard = one_shard(SHOP, Bent(names=("firm_1",), bend=bend), restarts=2, patience=3)
    shard.start()
    progress = shard.advance(20)
    assert progress.withdrawn == ("firm_1",)
    # Nine ticks in three lives; the last of them is no longer counted, it is withdrawn by then.
    assert progress.counts["firm_1"]["restarted"] == 2
    assert sum(progress.counts["firm_1"].values()) - 2 == 3 * 8
    expected = with_silence(SHOP, 20, 3, {"firm_1": range(20)}, {"firm_1": 8})
    assert shard.digest.hexdigest() == expected


@pytest.mark.parametrize(
    "bend",
    [
        instead(None),
        instead({}),
        instead({"firm_2": Snapshot(0, [])}),
        instead(UnreadableObject()),
        lambda a, *_: Answer({n: s._replace(tick=99) for n, s in a.value.items()}),
        lambda a, *_: Answer(
            {n: s._replace(memory=[UnreadableObject()]) for n, s in a.value.items()}
        ),
        lambda a, *_: Answer(
            {n: s._replace(memory=[np.full(1, object())]) for n, s in a.value.items()}
        ),
        lambda *_: Answer(error="InputError: memory holds <U3"),
    ],
)
def test_a_host_that_keeps_its_memory_back_cannot_keep_the_market_from_its_checkpoints(
    bend, tmp_path
):
    runtime = Bent(names=("firm_1",), bend=bend, verbs=("snapshot",))
    shard = one_shard(SHOP, runtime, restarts=1, patience=2, folder=str(tmp_path))
    shard.start()
    for _ in range(8):
        shard.advance(2)
        shard.checkpoint()
    assert [p.name for p in tmp_path.glob("snapshot-*.npz")] == ["snapshot-000000000016.npz"]
    assert shard.advance(0).withdrawn == ("firm_1",)
    shard.close()
    again = one_shard(SHOP, LocalRuntime(), folder=str(tmp_path))
    assert again.start() == 16 and again.advance(1).withdrawn == ("firm_1",)


def test_a_reply_cannot_speak_for_a_housemate():
    """Two under one roof, their replies exchanged: neither is taken."""
    runtime = Bent(names=("platform",), when=SILENT, bend=lambda a, *_: Answer(a.value[::-1]))
    shard = one_shard(SHOP, runtime, workers=2)
    shard.start()
    progress = shard.advance(TICKS)
    silent = {"platform": SILENT, "firm_2": SILENT}
    assert shard.digest.hexdigest() == with_silence(SHOP, TICKS, 3, silent)
    assert progress.counts == {name: {"misaddressed": 9} for name in silent}


def test_a_policy_that_does_not_fit_is_told_at_once():
    with pytest.raises(InputError, match="glft"):
        driven(with_policy("firm_1", "glft"), 3, 1)


def test_more_shards_than_markets_are_refused():
    with pytest.raises(InputError, match="every shard needs a market"):
        driver(SHOP, 5, 3, count=4)


def test_a_dead_clearing_house_without_a_journal_ends_the_run_with_a_message():
    class Dies(LocalShards):
        def result(self, reference):
            if getattr(reference.value, "tick", 0) >= 4:
                raise ConnectionError
            return super().result(reference)

    with pytest.raises(InputError, match="keeps no journal"):
        driven(SHOP, 9, 2, Dies(), died=ConnectionError)


def test_a_disk_that_is_no_folder_is_told(tmp_path):
    (tmp_path / "shard-0000").write_text("not a folder")
    with pytest.raises(RunError, match="cannot be written"):
        driven(SHOP, 9, 2, folder=str(tmp_path))
