"""Makes the table of the screens' error rates: `python -m mos_agents.corpus [TABLE] [SESSIONS]`.

Without a table it goes on with the one that is shipped. With the word `page` it prints the page.
"""

from __future__ import annotations

import sys
from pathlib import Path

from mos_agents.analysis.screens.rates import TABLE
from mos_agents.corpus.page import page
from mos_agents.corpus.rates import make_table


def main(words: list[str]) -> None:
    """Make the table, or print the page.

    Parameters
    ----------
    words : list of str
        The table, a CSV file, and the markets of each competitive world; both may be left out. Or
        the word page.
    """
    if words == ["page"]:
        print(page(), end="")
        return
    path = Path(words[0]) if words else TABLE
    sessions = int(words[1]) if len(words) > 1 else 1000
    for line in make_table(path, sessions):
        print(line, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
