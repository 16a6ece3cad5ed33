"""One tick of the market: quote, arrival, execution, position, observation, reward.

`tick` is a function: state in, state out. The `Market` that it reads is a value.
"""

from __future__ import annotations

import numpy as np

from mos_agents.market.market import Market
from mos_agents.market.remembering import remembered
from mos_agents.market.settlement import settle
from mos_agents.market.streams import Draws
from mos_agents.market.types import Array, Arrivals, Info, InputError, State, Step


def early_arrivals(market: Market, state: State, draws: Draws) -> tuple[Arrivals, Array] | None:
    """Draw the arrivals of a tick before any participant has quoted.

    Parameters
    ----------
    market : Market
        The rules.
    state : State
        The state before the tick.
    draws : Draws
        The random numbers of the tick.

    Returns
    -------
    tuple or None
        Arrivals and excitation for `tick(..., arrived=...)`; None where arrivals depend on quotes.
    """
    if not market.arrivals_ignore_quotes:
        return None
    return market.arrivals.arrive(market, state, state.quotes, draws)


def tick(
    market: Market,
    state: State,
    actions: Array,
    draws: Draws,
    arrived: tuple[Arrivals, Array] | None = None,
) -> Step:
    """Play one tick: quote, arrival, execution, position, observation and reward.

    Actions of participants that are not on the move are ignored. Refused actions leave the
    quote in force; `info.refused` says why. They raise nothing and change no other participant's
    tick.

    Parameters
    ----------
    market : Market
        The rules.
    state : State
        The state before the tick. It is not changed.
    actions : array [B, L, A]
        The actions of all participants in roster order; NaN for none.
    draws : Draws
        The random numbers of this tick.
    arrived : tuple, optional
        What `early_arrivals` found for this very tick, if it was asked.

    Returns
    -------
    Step
        Next state, observations [B, sum of D_n], rewards [B, N], metrics [B, N, M] and details.

    Raises
    ------
    InputError
        If the actions have another shape, or a number of the market stops being finite.
    """
    _check_shape(market, state, actions)
    # The quotes of the tick before: those of this one are in `quotes`.
    quote_history = _with_newest(state)
    moved = market.schedule.moves(market, state.tick, draws)
    quotes, refused = market.quotes.admit(market, state, actions, moved)
    state = State(state.tick, quotes, *state[2:])  # several times faster than _replace
    arrivals, excitation = arrived or market.arrivals.arrive(market, state, quotes, draws)
    executions = market.execution.execute(market, state, quotes, arrivals, draws)
    after, flows, metrics, reward, observation = settle(
        market, state, arrivals, executions, excitation, quote_history, draws
    )
    info = Info(quotes, arrivals, executions, flows, refused, moved)
    if market.remembering:
        after = remembered(market, after, info, draws)
    return Step(after, observation, reward, metrics, info)


def _check_shape(market: Market, state: State, actions: Array) -> None:
    """Compiled code does not look at bounds: another shape would have it read foreign memory."""
    wanted = (*state.cost.shape, market.action_width)
    if actions.shape != wanted:
        raise InputError(
            f"actions of shape {actions.shape} must be {wanted} = (markets, listings, "
            f"{'/'.join(market.quotes.features)})"
        )


def _with_newest(state: State) -> Array:
    """The quote history with the newest quotes in front and the oldest gone."""
    if state.quote_history.shape[1] == 0:
        return state.quote_history
    quotes = state.quotes
    newest = np.stack([quotes.ask, quotes.bid, quotes.ask_size, quotes.bid_size], axis=1)
    return np.concatenate([newest[:, None], state.quote_history[:, :-1]], axis=1)
