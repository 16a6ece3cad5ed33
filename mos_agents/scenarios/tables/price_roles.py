"""What headings say: which words name a column of prices, sellers, costs and so on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, NamedTuple

from mos_agents.scenarios.tables.columns import words
from mos_agents.scenarios.tables.table import FileTable

Role = Literal["product", "seller", "price", "cost", "quantity", "common", "season"]
Value = Literal["price", "cost", "quantity", "series"]

_WORDS: Mapping[Role, str] = {
    "product": "product products good goods sku article item artikel produkt producto produit "
    "prodotto ware waren instrument asset grade fuel",
    "seller": "seller sellers firm firms shop store company retailer vendor merchant station "
    "brand participant chain outlet marke anbieter händler verkäufer tankstelle unternehmen "
    "firma geschäft tienda empresa vendedor vendeur magasin enseigne entreprise negozio",
    "price": "price prices preis preise prix precio precios prezzo preço kurs ask",
    "cost": "cost costs kosten coût coûts coste costes costo custo wholesale",
    "quantity": "quantity quantities qty units sold sales volume menge absatz ventas ventes amount",
    "common": "index temperature cpi inflation tax duty fee levy weather rainfall wage wages "
    "tariff income exchange",
    "season": "season promotion promo holiday campaign sale weekday saison aktion feiertag",
}
HEADINGS: Mapping[Role, frozenset[str]] = {r: frozenset(t.split()) for r, t in _WORDS.items()}
"""Words in headings, by what the column holds."""


class GivenColumns(NamedTuple):
    """Headings that the caller names, by what the columns hold.

    Parameters
    ----------
    time, product, seller, cost, quantity : str or None
        One heading each.
    price : tuple of str
        The column of prices; of a wide file, one for each seller.
    common : tuple of str
        Columns that reach all sellers and that no seller sets, such as a cost index.
    season : tuple of str
        Columns of labels, such as whether there was a promotion.
    """

    time: str | None = None
    product: str | None = None
    seller: str | None = None
    price: tuple[str, ...] = ()
    cost: str | None = None
    quantity: str | None = None
    common: tuple[str, ...] = ()
    season: tuple[str, ...] = ()

    def exact(self, table: FileTable) -> GivenColumns:
        """The same headings as the file has them; InputError for one that is not there."""
        found: dict[str, str | tuple[str, ...] | None] = {}
        for role, value in self._asdict().items():
            if isinstance(value, tuple):
                found[role] = tuple(table.column(h, f"{role}={h!r}").name for h in value)
            else:
                found[role] = value and table.column(value, f"{role}={value!r}").name
        return GivenColumns(**found)  # type: ignore[arg-type]

    @property
    def headings(self) -> set[str]:
        """All headings that are named."""
        several = {*self.price, *self.common, *self.season}
        single = (self.time, self.product, self.seller, self.cost, self.quantity)
        return several | {h for h in single if h is not None}


def roles_of(heading: str) -> set[Role]:
    """What a heading says that its column holds."""
    own = set(words(heading))
    return {role for role, known in HEADINGS.items() if own & known}


def of_seller(heading: str, value: Value) -> tuple[Value, str]:
    """The role of a wide column, and whose it is: "cost_A" is the cost of A, "B" the price of B."""
    own = roles_of(heading)
    role: Value = "cost" if "cost" in own else "quantity" if "quantity" in own else value
    if value != "price" and "price" in own:
        role = "price"
    if role not in own:
        return role, heading.strip()
    kept = [
        part
        for part in _parts(heading)
        if part.casefold() not in HEADINGS[role] and part.casefold() not in ("unit", "of", "per")
    ]
    return role, " ".join(kept)


def _parts(heading: str) -> list[str]:
    return [part for part in re.split(r"[\s_./:\-()]+", heading) if part]
