"""`python -m mos_agents.cli` is `mos`."""

from mos_agents.cli import main

main()
