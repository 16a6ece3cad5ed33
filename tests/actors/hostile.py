"""A participant whose code takes over its own process and puts payloads in place of the answers.

Read as a pickle, each payload leaves a mark with the number of the reader's process."""

import json
import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mos_agents.policies.base import Policy


def strike(folder):
    Path(folder, f"struck-{os.getpid()}").touch()


class Bomb:
    """Unpickling it runs `strike`."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return strike, (self.folder,)


class Evaluated(Bomb):
    """The same with nothing but what Python itself has."""

    def __reduce__(self):
        return eval, (f"open('{self.folder}/struck-'+str(__import__('os').getpid()),'w').close()",)


class LoudBomb(Bomb, Exception):
    pass


class LoudExit(Bomb, SystemExit):
    pass


class LoudInterrupt(Bomb, KeyboardInterrupt):
    pass


class Sorted(dict):
    pass


class HostileArray(np.ndarray):
    def __reduce__(self):
        return strike, (self.folder,)


def picture(folder):
    array = np.zeros(3).view(HostileArray)
    array.folder = folder
    return array


def table_of(folder):
    import polars

    return polars.DataFrame({"a": [Bomb(folder)]}, schema={"a": polars.Object})


def reference(folder):
    import ray

    return [ray.put(Bomb(folder))]


def framed(folder):
    """A heading as it should be, and a pickle where numbers were due."""
    from mos_agents.actors import wire

    heading = [0.0, {"firm_1": [0, [["|O8", [1]]]]}]
    return wire._framed(heading, [pickle.dumps(Bomb(folder))])


def npy(folder):
    import io

    buffer = io.BytesIO()
    np.save(buffer, np.array([Bomb(folder)], object), allow_pickle=True)
    return buffer.getvalue()


class Forged:
    """Goes into Ray's store with a metadata of its own: that of any error of Ray's, say."""

    def __init__(self, metadata, data):
        self.metadata, self.data = metadata, data


def exception_of_ray(folder):
    from ray.core.generated.common_pb2 import PYTHON, RayException

    bomb = pickle.dumps(Bomb(folder))
    return RayException(language=PYTHON, serialized_exception=bomb, formatted_exception_string="x")


def forged(name):
    def made(folder):
        from ray.core.generated.common_pb2 import ErrorType, RayErrorInfo

        inside = exception_of_ray(folder)
        if name == "ACTOR_DIED":
            info = RayErrorInfo()
            info.actor_died_error.creation_task_failure_context.CopyFrom(inside)
            inside = info
        number = ErrorType.Value(name) if name.isupper() and not name == "XLANG" else None
        metadata = str(number).encode() if number is not None else name.encode()
        return Forged(metadata, inside.SerializeToString())

    return made


RETURNED = {
    "a bomb": Bomb,
    "an evaluated bomb": Evaluated,
    "a bomb in a list": lambda folder: [Bomb(folder)],
    "a bomb in a tuple": lambda folder: (None, Bomb(folder)),
    "a bomb in a dictionary": lambda folder: {"firm_1": Bomb(folder)},
    "a bomb as a key": lambda folder: {Bomb(folder): 1},
    "a bomb in a dictionary of its own kind": lambda folder: Sorted(a=Bomb(folder)),
    "a bomb beside the seconds": lambda folder: (Bomb(folder), 0.0),
    "a bomb in an array": lambda folder: np.array([Bomb(folder)], object),
    "an array of its own kind": picture,
    "a bomb in a table": table_of,
    "a bomb behind a reference": reference,
    "an error as a value": LoudBomb,
    "a function": lambda folder: lambda: Bomb(folder),
    "a class": lambda folder: type("Local", (), {"bomb": Bomb(folder)}),
    "a pickle as bytes": lambda folder: pickle.dumps(Bomb(folder)),
    "a pickle of protocol 0": lambda folder: pickle.dumps(Bomb(folder), 0),
    "a pickle in a bytearray": lambda folder: bytearray(pickle.dumps(Bomb(folder))),
    "a pickle where numbers were due": framed,
    "an array of objects as a file": npy,
    **{
        f"metadata {name}": forged(name)
        for name in (
            "XLANG",
            "RAW,",
            "ACTOR_HANDLE",
            "PYTHON,",
            "9999",
            "TASK_EXECUTION_EXCEPTION",
            "TASK_CANCELLED",
            "ACTOR_DIED",
            "WORKER_DIED",
            "OBJECT_LOST",
            "OUT_OF_MEMORY",
            "NODE_DIED",
            "RUNTIME_ENV_SETUP_FAILED",
            "ACTOR_UNAVAILABLE",
            "ACTOR_UNSCHEDULABLE_ERROR",
        )
    },
}


def caused(folder):
    error = ValueError("caused")
    error.__cause__ = LoudBomb(folder)
    return error


def noted(folder):
    error = ValueError("noted")
    error.bomb = Bomb(folder)
    return error


RAISED = {
    "a loud bomb": LoudBomb,
    "a loud exit": LoudExit,
    "a loud interruption": LoudInterrupt,
    "a bomb as the argument of an error": lambda folder: ValueError(Bomb(folder)),
    "a bomb as the cause of an error": caused,
    "a bomb kept by an error": noted,
    "a bomb in a group of errors": lambda folder: ExceptionGroup("two", [LoudBomb(folder)]),
}

PACKERS = {"decide": "pack_replies", "snapshot": "pack_snapshots"}
"""What a worker's verbs end with; all others with a fact."""


KEPT: dict[str, Any] = {}
"""What was put away for a payload."""


def honest():
    """The worker's process gives again what it should."""
    from mos_agents.actors import wire

    for name, function in KEPT.items():
        setattr(wire, name, function)
    KEPT.clear()


def taken_over(packer, payload, folder):
    """Until its next decision the worker's process gives the payload in place of what it should."""
    from ray._private import serialization
    from ray._private.serialization import MessagePackSerializedObject, MessagePackSerializer

    from mos_agents.actors import wire

    def given(*_):
        return RETURNED[payload](folder)

    def raised(*_):
        raise RAISED[payload](folder)

    for name in (packer, "pack_failure"):
        KEPT[name] = getattr(wire, name)
        setattr(wire, name, given if payload in RETURNED else raised)
    context = serialization.SerializationContext
    if not hasattr(context, "honest"):
        context.honest = context.serialize

        def serialize(self, value):
            if type(value) is not Forged:
                return context.honest(self, value)
            data = MessagePackSerializer.dumps(value.data, lambda _: 0)
            return MessagePackSerializedObject(value.metadata, data, [], None)

        context.serialize = serialize


@dataclass(frozen=True)
class Hostile(Policy):
    """Does what the file `next` in its folder says; never in the process of the clearing house."""

    folder: str
    house: int
    at_start: str = ""
    kind = "hostile"
    atomic = True

    def start(self, spec, batch):
        if self.at_start and os.getpid() != self.house:
            taken_over("pack_fact", self.at_start, self.folder)
            raise LoudBomb(self.folder)
        return None

    def act(self, spec, observation, memory, draws):
        honest()
        order = Path(self.folder, "next")
        if order.exists() and os.getpid() != self.house:
            taken_over(*json.loads(order.read_text()), self.folder)
            order.unlink()
        return spec.read(observation, "own_ask")[:, :, None], memory

    def propensity(self, spec: Any, observation: Any, action: Any, memory: Any) -> Any:
        raise NotImplementedError
