"""Catalogues and series from the user's own CSV, Parquet and Excel files.

`reading` takes in a table of any dialect and says what it recognised; `catalogue` and `series` say
what its columns mean. Nothing is guessed where two readings are possible: such a file is refused
with the option that decides.
"""

from mos_agents.scenarios.tables.catalogue import (
    CatalogueFile,
    CatalogueTable,
    arrange,
    read_catalogue,
)
from mos_agents.scenarios.tables.columns import Part
from mos_agents.scenarios.tables.options import MOST_LISTINGS, TableFile
from mos_agents.scenarios.tables.series import Series, SeriesFile, read_series
from mos_agents.scenarios.tables.sources import BUILTIN, digest_of, resolve

__all__ = [
    "BUILTIN",
    "MOST_LISTINGS",
    "CatalogueFile",
    "CatalogueTable",
    "Part",
    "Series",
    "SeriesFile",
    "TableFile",
    "arrange",
    "digest_of",
    "read_catalogue",
    "read_series",
    "resolve",
]
