"""Examples at the foot of each command's --help, by the command's name."""

from __future__ import annotations

EXAMPLES = {
    "run": (
        "mos run retail",
        "mos run retail --set firms=4 --set arrivals.contamination=0.3 --ticks 200",
        "mos run market_making --markets 100 --seed 7",
        "mos run goods.yaml --name trial --no-report",
        "mos run market_making --backend ray",
        "mos run --resume retail-s0-001",
    ),
    "verify": ("mos verify retail-s0-001",),
    "demo": ("mos demo", "mos demo --sessions 10 --seed 1"),
    "scenarios": ("mos scenarios",),
    "show": ("mos show retail", "mos show retail --plain > mine.yaml"),
    "check": ("mos check mine.yaml", "mos check goods.csv"),
    "audit": (
        "mos audit prices.csv --cost cost --out audit-of-prices",
        "mos audit prices.csv --cost costs.csv --common index.csv --json found.json",
        "mos audit prices.csv --seller Shop --price Preis --read decimal=comma",
        "mos audit retail-s0-001",
    ),
    "report": ("mos report retail-s0-001",),
    "compare": ("mos compare retail-s0-001 retail-s1-001",),
    "replicate": (
        "mos replicate --list",
        "mos replicate calvano_2020 --sessions 100 --set n=3",
        "mos replicate klein_2021 --set k=12 --json found.json",
    ),
    "explain": (
        "mos explain",
        "mos explain policy",
        "mos explain avellaneda_stoikov",
        "mos explain positions.unit_fee",
        "mos explain q_learning.alpha",
        "mos explain metric pnl",
    ),
    "train": (
        "mos train retail --agents platform --set firms=1 --set products=2 --iterations 100",
        "mos train pricing_game --algo dqn --actions discrete --horizon 64 --name duo",
        "mos train --resume duo --iterations 200",
    ),
    "exploit": (
        "mos exploit duo --iterations 50",
        "mos exploit pricing_game --other firm_1=hold --other firm_2=hold --json found.json",
    ),
    "sweep": (
        "mos sweep retail --grid firms=1,2,4 --seeds 5 --markets 10",
        "mos sweep pricing_game --grid participants.firm.policy.alpha=0.05,0.15 --sessions 20",
        "mos sweep --resume sweep-retail-001",
    ),
}


def epilog(command: str) -> str | None:
    """The examples as click shows them: a line each, as they are."""
    lines = EXAMPLES.get(command)
    return None if lines is None else "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
