"""Observed prices, put to every screen that applies: is there a sign of collusion or price wars?"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mos_agents import __version__, runs, scenarios
from mos_agents.analysis.audit import ScreenVerdicts, judge
from mos_agents.analysis.audit_text import headline
from mos_agents.analysis.screens import rates_for
from mos_agents.lab.audit_inputs import AuditInput, AuditOptions, Number, of_file
from mos_agents.lab.audit_runs import of_run
from mos_agents.lab.audit_theory import with_theory
from mos_agents.lab.feedback import Feedback, OnMessage
from mos_agents.lab.folders import check_writable, run_of
from mos_agents.lab.settings import ScenarioLike, resolve
from mos_agents.market.frames import table_html
from mos_agents.market.printing import short_repr
from mos_agents.market.types import InputError
from mos_agents.runs.files import write_whole
from mos_agents.scenarios.tables.reading import is_table
from mos_agents.wording import setting

HEADINGS = ("screen", "verdict", "p-value", "corrected", "false alarms", "power")
_OF_VERDICT = (
    "conduct",
    "alarm",
    "pattern",
    "p_value",
    "p_corrected",
    "false_alarm_rate",
    "power",
    "sentence",
)
FILES = ("report.html", "audit.json", "audit.csv", "prices.csv")
"""What an audit writes into its folder."""


@short_repr
@dataclass(frozen=True, eq=False)
class AuditResult:
    """What all screens say about observed prices. `print` shows it in plain words.

    Attributes
    ----------
    record : AuditInput
        What was audited: prices, sellers, dates, digests of the files.
    found : ScreenVerdicts
        The verdict of each screen that applies, and what the others would need.
    seed : int
        Seed of resampling.
    """

    record: AuditInput
    found: ScreenVerdicts
    seed: int

    @property
    def alarm(self) -> bool:
        """Whether any screen raises an alarm, after the correction for their number."""
        return self.found.alarm

    @cached_property
    def headline(self) -> tuple[str, ...]:
        """The outcome in a few plain sentences."""
        record, conduct = self.record, self.found.conduct
        sounding = [one.title for one in conduct if one.alarm]
        return tuple(
            headline(
                len(conduct),
                sounding,
                self.found.level,
                len(record.sellers),
                len(record.labels),
                record.tick,
            )
        )

    def to_polars(self) -> Any:
        """Return a row for each screen.

        Returns
        -------
        polars.DataFrame
            Columns screen, applies, conduct, alarm, pattern, p_value, p_corrected,
            false_alarm_rate, power and sentence.
        """
        import polars as pl

        return pl.DataFrame(list(self._rows()), infer_schema_length=None)

    def as_json(self) -> str:
        """Everything as JSON: verdicts, the record, and digests of the inputs."""
        record, found = self.record, self.found
        return json.dumps(
            {
                "alarm": self.alarm,
                "headline": " ".join(self.headline),
                "level": found.level,
                "correction": "Holm over the screens of conduct; Bonferroni over products",
                "verdicts": [
                    dataclasses.asdict(one)
                    | {
                        "products": [
                            {"product": name, "p_value": p, "sentence": text}
                            for name, p, text in one.products
                        ]
                    }
                    for one in found.verdicts
                ],
                "not_applied": [dataclasses.asdict(one) for one in found.not_applied],
                "record": {
                    "source": record.source,
                    "kind": record.kind,
                    "price": record.price,
                    "sellers": record.sellers,
                    "products": [one.name for one in record.products],
                    "tick": record.tick,
                    "ticks": len(record.labels),
                    "first": record.labels[0],
                    "last": record.labels[-1],
                    "notes": record.notes,
                },
                "inputs": [
                    {"what": what, "path": path, "sha256": sha}
                    for what, path, sha in record.digests
                ],
                "seed": self.seed,
                "versions": {"mos_agents": __version__},
            },
            indent=1,
        )

    def as_csv(self) -> str:
        """A row for each screen, as CSV."""
        return _csv([list(next(iter(self._rows()))), *(row.values() for row in self._rows())])

    def prices_csv(self) -> str:
        """The prices as they were read: time, product, seller, price [, cost, quantity]."""
        rows: list[Sequence[Any]] = [("time", "product", "seller", "price", "cost", "quantity")]
        for one in self.record.products:
            cost, quantity = one.observed.cost, one.observed.quantities
            for t, n in np.argwhere(np.isfinite(one.prices)):
                beside = ["" if v is None else f"{v[t, n]:.12g}" for v in (cost, quantity)]
                time = self.record.labels[t]
                rows.append((time, one.name, one.sellers[n], f"{one.prices[t, n]:.12g}", *beside))
        return _csv(rows)

    def write(self, folder: str | os.PathLike[str]) -> Path:
        """Write a page with pictures, and JSON and CSV files beside it, into a folder.

        Parameters
        ----------
        folder : str or path
            The folder; it is made where it does not exist.

        Returns
        -------
        Path
            The page, `report.html`.
        """
        from mos_agents.report.audits import audit_html

        place = Path(folder)
        check_writable(place, folder=True)
        place.mkdir(exist_ok=True)
        texts = (audit_html(self._page()), self.as_json(), self.as_csv(), self.prices_csv())
        for name, text in zip(FILES, texts, strict=True):
            write_whole(place / name, text.encode())
        return place / FILES[0]

    def rows(self) -> list[tuple[str, ...]]:
        """The table of the screens that apply, without its headings."""
        return [
            (
                one.title,
                ("alarm" if one.alarm else "no alarm")
                if one.conduct
                else ("pattern" if one.pattern else "no pattern"),
                _figure(one.p_value),
                _figure(one.p_corrected),
                _share(one.false_alarm_rate),
                _share(one.power),
            )
            for one in self.found.verdicts
        ]

    def lines(self) -> list[str]:
        """The outcome as lines of text."""
        lines = [*self.headline, ""]
        for one in self.found.verdicts:
            lines += [one.sentence, *([f"  {one.more}"] if one.more else []), ""]
        if self.found.not_applied:
            lines.append("Screens that do not apply:")
            lines += [f"  {one.sentence}" for one in self.found.not_applied]
        return lines

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def _repr_html_(self) -> str:
        left = [one.sentence for one in self.found.not_applied]
        return table_html(HEADINGS, self.rows(), self.headline, " ".join(left))

    def _rows(self) -> list[dict[str, Any]]:
        """A row for each screen; what a screen that does not apply has not is None."""
        made: list[dict[str, Any]] = [
            {
                "screen": one.screen,
                "applies": True,
                **{name: vars(one)[name] for name in _OF_VERDICT},
            }
            for one in self.found.verdicts
        ]
        for left in self.found.not_applied:
            empty = dict.fromkeys(_OF_VERDICT)
            made.append(
                {"screen": left.screen, "applies": False, **empty, "sentence": left.sentence}
            )
        return made

    def _page(self) -> Any:
        from mos_agents.report.audits import AuditPage, ProductPrices

        record = self.record
        products = [
            ProductPrices(one.name, one.sellers, one.prices, one.observed.cost)
            for one in record.products
        ]
        return AuditPage(
            record.source,
            self.headline,
            self.alarm,
            self.found,
            products,
            record.labels,
            record.tick,
            record.price,
            record.notes,
            record.digests,
            (
                ("seed of resampling", str(self.seed)),
                ("level", f"{self.found.level:g}, of all screens together"),
                ("correction", "Holm over the screens of conduct, Bonferroni over products"),
                ("versions", f"mos_agents {__version__}"),
            ),
        )


def audit(
    prices: str | os.PathLike[str] | runs.Run,
    *,
    cost: str | os.PathLike[str] | Number | None = None,
    quantity: str | os.PathLike[str] | None = None,
    demand: ScenarioLike | None = None,
    common: Sequence[str] = (),
    season: Sequence[str] = (),
    control: str | os.PathLike[str] | None = None,
    vendors: Mapping[str, str] | None = None,
    columns: Mapping[str, str | Sequence[str]] | None = None,
    read: Mapping[str, Any] | None = None,
    every: str | None = None,
    level: float = 0.05,
    seed: int = 0,
    root: str | os.PathLike[str] = "runs",
    on_message: OnMessage | None = None,
) -> AuditResult:
    """Look for signs of collusion and price wars in observed prices.

    Parameters
    ----------
    prices : str, path or Run
        A CSV, Parquet or Excel file, long (time, seller, price) or wide (time, a column for each
        seller), or a run: its name below `root`, its folder, or the run itself.
    cost : str, path or number, optional
        Unit costs: a number for all, the heading of a column, or a file with a column for each
        seller or one for all.
    quantity : str or path, optional
        Units sold: the heading of a column, or a file.
    demand : str, path or Scenario, optional
        A preset or scenario file with a demand model and as many sellers. It gives competitive and
        joint-profit prices. A run takes its own scenario.
    common : sequence of str, optional
        Headings or files of series that reach all sellers and that no seller sets, such as a cost
        index, a fee or the weather.
    season : sequence of str, optional
        Headings of columns with labels of each time, such as whether there was a promotion.
    control : str or path, optional
        A file of prices of a comparable market that the suspicion does not concern.
    vendors : mapping of str to str, optional
        Who supplies the pricing software of each seller.
    columns : mapping, optional
        Headings of the columns `time`, `product`, `seller` and `price` where they are not found;
        `price` may be several headings of a wide file.
    read : mapping, optional
        How the file is written, as in {"decimal": "comma"}; see `scenarios.tables.TableFile`.
    every : {"hour", "day", "week", "month", "quarter", "year"}, optional
        Average prices at irregular times to this step.
    level : float, optional
        Largest share of records of competing sellers in which any screen raises an alarm.
    seed : int, optional
        Seed of resampling.
    root : str or path, optional
        The folder that holds the run folders.
    on_message : callable, optional
        Called with lines of text: what was recognised in the files.

    Returns
    -------
    AuditResult
        The verdict of each screen; `print` shows it, `write` makes a page.

    Raises
    ------
    InputError, RunError
        One line about the first thing that is wrong.
    """
    feedback = Feedback.of(None, on_message)
    options = AuditOptions(
        cost,
        quantity,
        tuple(common),
        tuple(season),
        control,
        dict(vendors or {}),
        dict(columns or {}),
        dict(read or {}),
        every,
    )
    if not isinstance(prices, runs.Run) and _is_file(os.fspath(prices)):
        record = of_file(os.fspath(prices), options)
    else:
        _refuse_for_run(options)
        run = run_of(prices, root)
        record = of_run(run)
        if demand is None and record.price == "price":
            own = scenarios.parse(run.scenario, f"{run.folder}/scenario.yaml")
            record = with_theory(record, own, own=True)
    if demand is not None:
        if record.price != "price":
            raise InputError(
                f"{setting('demand')} is for posted prices; {record.source} has the {record.price}"
            )
        record = with_theory(record, resolve(demand))
    for note in record.notes:
        feedback.message(note)
    return AuditResult(
        record,
        judge(
            {one.name: one.observed for one in record.products},
            level,
            seed,
            record.tick,
            rates=rates_for,
        ),
        seed,
    )


def _is_file(path: str) -> bool:
    """Whether it is a file of prices; a run is a name or a folder."""
    return is_table(path) or Path(path).is_file()


def _refuse_for_run(options: AuditOptions) -> None:
    """A run has costs, quantities and columns of its own."""
    for name in ("cost", "quantity", "common", "season", "control", "columns", "read", "every"):
        if getattr(options, name) not in (None, (), {}):
            raise InputError(f"{setting(name)} is for a file of prices; a run has its own record")
    if options.vendors:
        raise InputError(f"{setting('vendors')} is for a file of prices")


def _csv(rows: Sequence[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _share(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.1%}"
