"""The pictures of a sweep: what they say of a measure, and what they do not make of nothing."""

from __future__ import annotations

import re

from mos_agents.report.sweeps import MEANING, Curves, Point, pictures
from mos_agents.sweeps import PlayTrial, SessionsTrial
from mos_agents.sweeps.training import TrainingTrial


def drawn(measure: str, *means: float) -> tuple[str, list[float]]:
    """The caption, and the heights of the line."""
    points = [Point(x, mean, float("-inf"), float("inf")) for x, mean in enumerate(means)]
    (picture,) = pictures([Curves(measure, "alpha", "", {"": {"": points}})])
    path = re.search(r'<path d="(M[^"]*)"[^>]*stroke: #0072b2', picture.svg)
    assert path is not None
    return picture.caption, [float(y) for y in re.findall(r"[\d.]+ ([\d.]+)", path[1])]


def test_every_measure_drawn_unasked_is_explained() -> None:
    assert {
        name for work in (PlayTrial, SessionsTrial, TrainingTrial) for name in work.headline
    } == set(MEANING)


def test_a_caption_says_what_is_drawn_and_of_which_role() -> None:
    of = "Mean over seeds with its 95% interval, by alpha."
    assert drawn("reward", 1, 2)[0] == f"Reward a tick, mean of the participants. {of}"
    assert "mean of participants with the role firm." in drawn("reward.firm", 1, 2)[0]
    assert drawn("something", 1, 2)[0] == of


def test_a_rounding_error_is_not_drawn_as_a_slope() -> None:
    _, (first, last) = drawn("spread", 0.5, 0.500001)
    assert abs(first - last) < 1.0
    _, (first, last) = drawn("spread", 0.5, 0.51)
    assert abs(first - last) > 50.0
