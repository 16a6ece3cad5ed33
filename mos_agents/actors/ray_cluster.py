"""A Ray cluster to work on: one of this run's own, or an existing one that asks for a token.

Never a bare `ray.init()`: either a cluster of this run's own, started with a token that only its
processes know, without usage statistics or dashboard, or an existing one by its address.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import signal
import socket
from collections.abc import Iterator
from typing import Any

import ray
from ray._private.utils import read_ray_address
from ray.exceptions import AuthenticationError, RayError

from mos_agents.actors.messages import told
from mos_agents.market.types import InputError

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DISABLE_IMPORT_WARNING": "1",
}

CONNECT_SECONDS = 5
"""How long a cluster may take to answer at all."""


@contextlib.contextmanager
def cluster(
    address: str | None = None,
    *,
    dashboard: bool = False,
    insecure: bool = False,
    cpus: int | None = None,
) -> Iterator[str]:
    """A Ray cluster to work on, by address; one of this run's own where none is given.

    cpus: of a cluster of its own; None has room for the actors of a market, whatever the cores.
    An existing cluster must demand a token (RAY_AUTH_MODE=token), unless `insecure`.
    """
    former = {name: os.environ.get(name) for name in (*QUIET, "RAY_AUTH_MODE", "RAY_AUTH_TOKEN")}
    os.environ |= QUIET
    try:
        if address is None:
            os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
            _look_at_environment()
        else:
            _checked(address, insecure)
        options: dict[str, Any] = {"include_dashboard": dashboard} if address is None else {}
        if address is None:
            options["num_cpus"] = cpus or own_cores()
        asked = signal.getsignal(signal.SIGTERM)
        try:
            ray.init(
                address=address or "local",
                log_to_driver=False,
                logging_level=logging.ERROR,
                configure_logging=True,
                **options,
            )
        except Exception as error:  # a start that takes too long is a bare one
            where = (
                "Ray does not start"
                if address is None
                else f"address={address!r}: no Ray cluster answers"
            )
            raise InputError(f"{where}: {told(error)}") from None
        if asked is not None:  # None: one that is not Python's
            with contextlib.suppress(ValueError):  # Ray puts one of its own there, which aborts
                signal.signal(signal.SIGTERM, asked)
        yield address or "local"
    finally:
        with contextlib.suppress(Exception):
            ray.shutdown()
        for name, value in former.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        _look_at_environment()


def own_cores() -> int:
    """Cores of a cluster of one's own where nobody says."""
    # Actors of a market wait for each other most of the time: cores do not bound them.
    return max(4, os.cpu_count() or 1)


def joined() -> bool:
    """Whether this process is on a cluster already."""
    return bool(ray.is_initialized())


def cores() -> int:
    """Cores of all nodes that are there, whoever is at work on them."""
    return int(sum(node["Resources"].get("CPU", 0.0) for node in ray.nodes() if node["Alive"]))


def _checked(address: str, insecure: bool) -> None:
    """Raise InputError where the cluster cannot be joined, before Ray tries so for a minute."""
    where = f"address={address!r}"
    place = address
    if address == "auto":
        place = os.environ.get("RAY_ADDRESS") or read_ray_address() or ""
        if not place:
            raise InputError(f"{where}: no Ray cluster runs on this machine; give HOST:PORT")
    host, _, port = place.rpartition(":")
    if not host or not port.isdigit() or "/" in host:
        raise InputError(f"{where} must be HOST:PORT of the head node, or auto")
    try:
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise InputError(f"{where}: no Ray cluster answers there: {told(error)}") from None
    mode = os.environ.get("RAY_AUTH_MODE")
    os.environ["RAY_AUTH_MODE"] = "disabled"
    try:
        opened = _lets_in(place)
    finally:
        if mode is None:
            del os.environ["RAY_AUTH_MODE"]
        else:
            os.environ["RAY_AUTH_MODE"] = mode
        _look_at_environment()
    if opened:
        if not insecure:
            raise InputError(
                f"{where}: the cluster lets anybody in without a token; start it with "
                "RAY_AUTH_MODE=token, or say --insecure"
            )
    elif mode != "token":
        raise InputError(
            f"{where}: the cluster asks for a token and this session shows none; set "
            "RAY_AUTH_MODE=token and RAY_AUTH_TOKEN (or RAY_AUTH_TOKEN_PATH) as on the cluster"
        )
    elif not _lets_in(place):
        raise InputError(
            f"{where}: the cluster does not take this session's token; set RAY_AUTH_TOKEN (or "
            "RAY_AUTH_TOKEN_PATH) as on the cluster"
        )


def _lets_in(place: str) -> bool:
    """Whether the cluster answers to the token (or to none) that the environment now holds."""
    from ray._raylet import GcsClient  # type: ignore[attr-defined]

    _look_at_environment()
    with _silent():
        try:
            GcsClient(place).internal_kv_exists(b"mos", None, timeout=CONNECT_SECONDS)
        except AuthenticationError:
            return False
        except (RayError, RuntimeError, ValueError) as error:
            raise InputError(f"address={place!r}: no Ray cluster answers: {told(error)}") from None
    return True


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Ray's inner warnings go past Python's logging, straight to the terminal; not these."""
    former, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(former, 2)
        os.close(former)
        os.close(nowhere)


def _look_at_environment() -> None:
    # Ray reads mode and token once, when it is imported; a later change must be made known to it.
    from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]

    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()


_holders = 0
_own_cluster: contextlib.ExitStack | None = None


def hold() -> Any:
    """See to it that this process is on a cluster; what to call to let go of it.

    One of its own is shared by all who hold it, and ends with the last.
    """
    global _holders, _own_cluster
    if _own_cluster is None and ray.is_initialized():
        return lambda: None
    if _own_cluster is None:
        stack = contextlib.ExitStack()
        stack.enter_context(cluster())
        _own_cluster = stack
    _holders += 1
    return _release


def _release() -> None:
    global _holders, _own_cluster
    _holders -= 1
    if _holders == 0 and _own_cluster is not None:
        own, _own_cluster = _own_cluster, None
        own.close()
