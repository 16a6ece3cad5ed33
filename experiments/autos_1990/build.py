"""The US car market of 1990 as a catalogue: 131 models whose observed prices are an equilibrium.

Shares and prices come from the data of Berry, Levinsohn and Pakes (1995) as the Python package
pyblp ships them. Berry's (1994) inversion turns the shares into mean utilities, and the
first-order conditions of multi-product Bertrand competition turn the prices into marginal costs.
Demand is a nested logit with three nests of origin; α is the published IV logit coefficient and σ
is estimated here by two-stage least squares. Run it as

    python -m experiments.autos_1990.build --products PATH_TO_blp_products.csv

References
    Berry, Levinsohn and Pakes (1995), "Automobile Prices in Market Equilibrium", Econometrica
    63(4), 841-890.
    Berry (1994), "Estimating Discrete-Choice Models of Product Differentiation", RAND Journal of
    Economics 25(2), 242-262.
    Conlon and Gortmaker (2020), "Best Practices for Differentiated Products Demand Estimation
    with PyBLP", RAND Journal of Economics 51(4), 1108-1161.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mos_agents.market.equilibrium import LogitMarket, mean_utilities

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class BuildSettings:
    """What the catalogue is made from.

    products: blp_products.csv; without it the installed pyblp's own. output: the folder of
    autos_1990.csv and autos_1990.md. price_coefficient: α in utils per thousand 1983 dollars
    (BLP 1995, Table III, IV logit). nesting: σ; without it the estimate of this script, rounded
    to three decimals. households: consumers in 1990 (see `check_households`).
    """

    products: Path | None = None
    output: Path = Path("mos_agents/scenarios/data")
    price_coefficient: float = 0.216
    nesting: float | None = None
    households: int = 94_312_000


YEAR = 1990
CHARACTERISTICS = ("hpwt", "air", "mpd", "space")
NEST = {"US": "american", "JP": "asian", "EU": "european"}

SELLER = {
    1: ("toyota", "LX TY"),
    2: ("nissan", "IN NI"),
    3: ("honda", "AC HD"),
    4: ("mazda", "MZ"),
    5: ("subaru", "SB"),
    6: ("volvo", "VV"),
    7: ("volkswagen", "AD VW"),
    8: ("bmw", "BW"),
    9: ("mercedes_benz", "MB"),
    10: ("mitsubishi", "MT"),
    11: ("saab", "SA"),
    12: ("porsche", "PS"),
    13: ("isuzu", "IS"),
    16: ("chrysler", "CR DG EG PL"),
    18: ("ford", "FD LN MC"),
    19: ("general_motors", "BK CD CV GO OD PT"),
    20: ("alfa_romeo", "AR"),
    21: ("hyundai", "HY"),
    22: ("jaguar", "JG"),
    23: ("yugo", "YG"),
}
"""Each firm_ids of 1990, its name and the makes' prefixes under which its clustering_ids begin."""

MAKE = {
    "AC": "acura",
    "AD": "audi",
    "AR": "alfa_romeo",
    "BK": "buick",
    "BW": "bmw",
    "CD": "cadillac",
    "CR": "chrysler",
    "CV": "chevrolet",
    "DG": "dodge",
    "EG": "eagle",
    "FD": "ford",
    "GO": "geo",
    "HD": "honda",
    "HY": "hyundai",
    "IN": "infiniti",
    "IS": "isuzu",
    "JG": "jaguar",
    "LN": "lincoln",
    "LX": "lexus",
    "MB": "mercedes",
    "MC": "mercury",
    "MT": "mitsubishi",
    "MZ": "mazda",
    "NI": "nissan",
    "OD": "oldsmobile",
    "PL": "plymouth",
    "PS": "porsche",
    "PT": "pontiac",
    "SA": "saab",
    "SB": "subaru",
    "TY": "toyota",
    "VV": "volvo",
    "VW": "volkswagen",
    "YG": "yugo",
}

MODEL = {
    "ACINTE": "integra",
    "ACLEGE": "legend",
    "AD100S": "100",
    "AD200S": "200",
    "AD80SE": "80",
    "AD90SE": "90",
    "ARSPDR": "spider",
    "BKCENT": "century",
    "BKLESA": "lesabre",
    "BKPARK": "park_avenue",
    "BKREAT": "reatta",
    "BKREGA": "regal",
    "BKRIVI": "riviera",
    "BKSKYL": "skylark",
    "BW325i": "325i",
    "BW535i": "535i",
    "BW735i": "735i",
    "CDALLA": "allante",
    "CDBROU": "brougham",
    "CDDEVI": "de_ville",
    "CDELDO": "eldorado",
    "CDSEVI": "seville",
    "CRIMPE": "imperial",
    "CRLEBA": "lebaron",
    "CVCAMA": "camaro",
    "CVCAPR": "caprice",
    "CVCAVA": "cavalier",
    "CVCELE": "celebrity",
    "CVCORS": "corsica",
    "CVCORV": "corvette",
    "CVLUMI": "lumina",
    "DGCOLT": "colt",
    "DGDAYT": "daytona",
    "DGDYNA": "dynasty",
    "DGMONA": "monaco",
    "DGSHAD": "shadow",
    "DGSPIR": "spirit",
    "EGPREM": "premier",
    "EGSUMM": "summit",
    "EGTALO": "talon",
    "FDESCO": "escort",
    "FDFEST": "festiva",
    "FDLTDC": "ltd_crown_victoria",
    "FDMUST": "mustang",
    "FDPROB": "probe",
    "FDTAUR": "taurus",
    "FDTEMP": "tempo",
    "FDTHND": "thunderbird",
    "GOMETR": "metro",
    "GOPRIZ": "prizm",
    "GOSTOR": "storm",
    "HDACCO": "accord",
    "HDCIVI": "civic",
    "HDPREL": "prelude",
    "HYEXCE": "excel",
    "HYSONA": "sonata",
    "INM30": "m30",
    "INQ45": "q45",
    "ISIMPU": "impulse",
    "JGXJ6": "xj6",
    "JGXJS": "xjs",
    "LNCONT": "continental",
    "LNMARK": "mark_vii",
    "LNTOWN": "town_car",
    "LXES25": "es_250",
    "LXLS40": "ls_400",
    "MB190E": "190e",
    "MB300D": "300",
    "MB420S": "420_sel",
    "MB560S": "560_sel",
    "MCCOUG": "cougar",
    "MCGRND": "grand_marquis",
    "MCSABL": "sable",
    "MCTOPA": "topaz",
    "MCTRAC": "tracer",
    "MTECLI": "eclipse",
    "MTGALA": "galant",
    "MTMIRA": "mirage",
    "MTPREC": "precis",
    "MZ323": "323",
    "MZ626": "626",
    "MZ929": "929",
    "MZMX5M": "mx5_miata",
    "MZMX6": "mx6",
    "NI240S": "240sx",
    "NI300Z": "300zx",
    "NIMAXI": "maxima",
    "NIPULS": "pulsar",
    "NISENT": "sentra",
    "NISTAN": "stanza",
    "OD88RO": "88_royale",
    "OD98RE": "98_regency",
    "ODTORN": "toronado",
    "PLACCL": "acclaim",
    "PLLASE": "laser",
    "PLSUND": "sundance",
    "PS911C": "911_carrera",
    "PS944": "944",
    "PT6000": "6000",
    "PTBONN": "bonneville",
    "PTFIRE": "firebird",
    "PTLEMA": "lemans",
    "PTSUNB": "sunbird",
    "SA900": "900",
    "SA9000": "9000",
    "SBJUST": "justy",
    "SBLEGA": "legacy",
    "SBXT": "xt",
    "TYCAMR": "camry",
    "TYCELI": "celica",
    "TYCORO": "corolla",
    "TYCRES": "cressida",
    "TYMR2": "mr2",
    "TYSUPR": "supra",
    "TYTERC": "tercel",
    "VV240": "240",
    "VV740": "740",
    "VV760G": "760",
    "VWCABR": "cabriolet",
    "VWFOX": "fox",
    "VWGOLF": "golf",
    "VWJETT": "jetta",
    "VWPASS": "passat",
    "YGGVPL": "gv_plus",
}
"""The model that a clustering id without its closing year stands for, read as an abbreviation."""

SHARED_CODE = {
    5463: "new_yorker_salon",
    5464: "new_yorker_fifth_avenue",
    5537: "cutlass_calais",
    5538: "cutlass_ciera",
    5540: "cutlass_supreme",
    5554: "grand_am",
    5558: "grand_prix",
}
"""car_ids of 1990 whose clustering id is shared; distinguished by price and length times width."""


@dataclass(frozen=True)
class RegressionEstimate:
    """Two-stage least squares: coefficients and standard errors clustered by model, both (k,)."""

    coefficients: Floats
    errors: Floats


def read_products(path: Path | None) -> pl.DataFrame:
    """All 2,217 model-years of blp_products.csv; SystemExit with the remedy if it is not found."""
    if path is None:
        spec = importlib.util.find_spec("pyblp")
        if spec is None or spec.origin is None:
            raise SystemExit(
                "pyblp is not installed: name its file with --products PATH_TO_blp_products.csv "
                "(pyblp/data/blp_products.csv inside the pyblp 1.3 wheel)"
            )
        path = Path(spec.origin).parent / "data" / "blp_products.csv"
    if not path.is_file():
        raise SystemExit(f"no file {path}: give the path of pyblp's blp_products.csv as --products")
    return pl.read_csv(path)


def two_stage_least_squares(
    outcome: Floats, regressors: Floats, instruments: Floats, clusters: NDArray[Any]
) -> RegressionEstimate:
    """b = (X'P X)⁻¹ X'P y with P the projection on the instruments, errors clustered.

    outcome (n,), regressors X (n, k), instruments (n, l) with the exogenous regressors among
    them, clusters (n,) labels. No small-sample correction is made.
    """
    fitted = instruments @ np.linalg.lstsq(instruments, regressors, rcond=None)[0]
    coefficients = np.linalg.lstsq(fitted, outcome, rcond=None)[0]
    errors = outcome - regressors @ coefficients
    _, codes = np.unique(clusters, return_inverse=True)
    scores = np.zeros((codes.max() + 1, regressors.shape[1]))
    np.add.at(scores, codes, fitted * errors[:, None])
    bread = np.linalg.inv(fitted.T @ fitted)
    return RegressionEstimate(coefficients, np.sqrt(np.diag(bread @ scores.T @ scores @ bread)))


class DemandRegression:
    """The demand regressions on all twenty years: ln s_j − ln s_0 = x_j β − α p_j + σ ln s_{j|g}.

    x are the four characteristics of BLP (1995) with one constant per year. Price and the
    within-nest share are endogenous. Instruments are the eight sums of characteristics that
    pyblp ships (over the firm's other models and over rivals' models) and the same sums over
    the model's own nest, which Berry (1994) asks for because s_{j|g} depends on them.
    """

    def __init__(self, products: pl.DataFrame) -> None:
        year = products["market_ids"].to_numpy()
        firm = products["firm_ids"].to_numpy()
        nest = year * 10 + products["region"].replace_strict({"US": 1, "JP": 2, "EU": 3}).to_numpy()
        share = products["shares"].to_numpy()
        inside = self._sum_by(year, share)
        self.price = products["prices"].to_numpy()
        self.within = np.log(share / self._sum_by(nest, share))
        self.outcome = np.log(share) - np.log1p(-inside)
        self.clusters = products["clustering_ids"].to_numpy()
        x = products.select(CHARACTERISTICS).to_numpy()
        self.exogenous = np.column_stack([year[:, None] == np.unique(year), x])
        self.constant = np.column_stack([np.ones(len(x)), x])
        self.shipped = products.select(pl.selectors.starts_with("demand_instruments")).to_numpy()
        sums = []
        for column in np.column_stack([np.ones(len(x)), x]).T:
            of_firm = self._sum_by(nest * 1000 + firm, column)
            sums += [of_firm - column, self._sum_by(nest, column) - of_firm]
        self.of_nest = np.column_stack(sums)

    @staticmethod
    def _sum_by(labels: NDArray[Any], values: Floats) -> Floats:
        _, codes = np.unique(labels, return_inverse=True)
        return np.bincount(codes, weights=values)[codes]

    def ordinary_logit(self) -> float:
        """α by ordinary least squares without year constants, as in BLP (1995), Table III."""
        regressors = np.column_stack([self.constant, self.price])
        return -float(np.linalg.lstsq(regressors, self.outcome, rcond=None)[0][-1])

    def plain_logit(self) -> RegressionEstimate:
        """The plain logit (σ = 0) with the shipped instruments; −α comes last."""
        return two_stage_least_squares(
            self.outcome,
            np.column_stack([self.constant, self.price]),
            np.column_stack([self.constant, self.shipped]),
            self.clusters,
        )

    def both(self) -> RegressionEstimate:
        """α and σ together; −α and σ come last."""
        return two_stage_least_squares(
            self.outcome,
            np.column_stack([self.exogenous, self.price, self.within]),
            np.column_stack([self.exogenous, self.shipped, self.of_nest]),
            self.clusters,
        )

    def nesting_given(self, price_coefficient: float, nest_sums: bool = True) -> RegressionEstimate:
        """σ at a given α, as the last coefficient; without `nest_sums` only shipped instruments."""
        instruments = [self.exogenous, self.shipped] + ([self.of_nest] if nest_sums else [])
        return two_stage_least_squares(
            self.outcome + price_coefficient * self.price,
            np.column_stack([self.exogenous, self.within]),
            np.column_stack(instruments),
            self.clusters,
        )


def name_of(clustering_id: str, car_id: int) -> str:
    """The readable name of a model, such as toyota_camry."""
    model = SHARED_CODE.get(car_id) or MODEL[clustering_id[:-2]]
    return f"{MAKE[clustering_id[:2]]}_{model}"


def check_sellers(cars: pl.DataFrame) -> None:
    """Refuse data in which a firm's makes are not those of the documented mapping."""
    for firm in sorted(set(cars["firm_ids"])):
        makes = {code[:2] for code in cars.filter(pl.col("firm_ids") == firm)["clustering_ids"]}
        if firm not in SELLER or makes != set(SELLER[firm][1].split()):
            raise SystemExit(f"firm {firm} sells {sorted(makes)}: correct the table SELLER")


def check_households(shares: Floats, households: int) -> NDArray[np.int64]:
    """Units sold (n,), if every share times the number of households is a whole number of cars.

    The number of households is not in the data but follows from it: among all whole thousands
    between 85 and 99 million only 94,312,000 gives 131 whole numbers.
    """
    units = shares * households
    if np.abs(units - np.round(units)).max() > 1e-3:
        raise SystemExit(f"{households} households do not turn the shares into whole cars")
    return np.round(units).astype(np.int64)


def calibrate(cars: pl.DataFrame, price_coefficient: float, nesting: float) -> LogitMarket:
    """The market of 1990 whose demand gives the observed shares, with the costs of its prices."""
    price = cars["prices"].to_numpy()
    nest = cars["region"].replace_strict(NEST).to_numpy()
    delta = mean_utilities(cars["shares"].to_numpy(), nest, nesting)
    market = LogitMarket(
        quality=delta + price_coefficient * price,
        cost=np.zeros(price.size),
        owner=cars["firm_ids"].to_numpy(),
        price_coefficient=price_coefficient,
        nest=nest,
        nesting=nesting,
    )
    return market.with_cost(market.marginal_costs(price))


def summary(cars: pl.DataFrame, market: LogitMarket) -> dict[str, float]:
    """What an economist looks at first; money in thousand 1983 dollars."""
    price, share = cars["prices"].to_numpy(), cars["shares"].to_numpy()
    markup = price - market.cost
    lerner = markup / price
    elasticity = -np.diag(market.elasticities(price))
    together = market.joint_profit()
    return {
        "models": price.size,
        "firms": len(market.firms),
        "lowest cost": market.cost.min(),
        "negative costs": int((market.cost < 0.0).sum()),
        "mean mark-up": markup.mean(),
        "lowest mark-up": markup.min(),
        "highest mark-up": markup.max(),
        "mean Lerner index": lerner.mean(),
        "median Lerner index": float(np.median(lerner)),
        "highest Lerner index": lerner.max(),
        "mark-ups as a fraction of all revenue": (markup @ share) / (price @ share),
        "lowest own-price elasticity": elasticity.min(),
        "median own-price elasticity": float(np.median(elasticity)),
        "highest own-price elasticity": elasticity.max(),
        "mean price": price.mean(),
        "mean joint-profit price": together.prices.mean(),
        "joint profit over Bertrand-Nash profit": together.profits.sum()
        / market.profits(price).sum(),
        "consumer surplus per household": float(market.consumer_surplus(price)),
    }


def write_catalogue(path: Path, cars: pl.DataFrame, market: LogitMarket) -> None:
    """One row per model, every number in the shortest form that reads back to the same float."""
    names = [name_of(*row) for row in cars.select("clustering_ids", "car_ids").iter_rows()]
    if len(set(names)) != len(names):
        raise SystemExit("two models have the same name: extend the table SHARED_CODE")
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(
            ["product", "seller", "cost", "reference_price", "quality", "stock", "nest", "share"]
        )
        columns = zip(
            names,
            (SELLER[firm][0] for firm in cars["firm_ids"]),
            map(repr, market.cost.tolist()),
            map(repr, cars["prices"].to_list()),
            map(repr, market.quality.tolist()),
            [""] * len(names),
            (NEST[region] for region in cars["region"]),
            map(repr, cars["shares"].to_list()),
            strict=True,
        )
        writer.writerows(columns)


def write_note(
    path: Path,
    arguments: BuildSettings,
    nesting: float,
    demand: DemandRegression,
    figures: dict[str, float],
) -> None:
    """The data's description, with the figures of this very run."""
    both, given = demand.both(), demand.nesting_given(arguments.price_coefficient)
    shipped = demand.nesting_given(arguments.price_coefficient, nest_sums=False)
    plain = demand.plain_logit()
    rows = "\n".join(f"| {name} | {value:.6g} |" for name, value in figures.items())
    path.write_text(
        f"""# autos_1990.csv

New cars sold in the United States in 1990: 131 models of 20 firms, with the marginal costs and
mean utilities under which the observed prices are a Bertrand-Nash equilibrium and the observed
shares are demand. Written by `python -m experiments.autos_1990.build`.

## Source

`blp_products.csv` of pyblp 1.3 (Conlon and Gortmaker 2020), rows with `market_ids` 1990. pyblp
took it from Andrews, Gentzkow and Shapiro (2017), who extracted it from the code of Berry,
Levinsohn and Pakes (1999); it is commonly taken to be the data of

> Berry, S., J. Levinsohn and A. Pakes (1995), "Automobile Prices in Market Equilibrium",
> *Econometrica* 63(4), 841-890.

## Columns

| column | meaning |
| --- | --- |
| `product` | make and model, read from the data's abbreviations |
| `seller` | manufacturer |
| `cost` | marginal cost, thousand 1983 dollars: calibrated, not observed |
| `reference_price` | observed list price, thousand 1983 dollars |
| `quality` | mean utility net of price, δ_j + α p_j, in utils; buying nothing is 0 |
| `stock` | empty: no limit |
| `nest` | origin of the make: `american`, `asian` or `european` |
| `share` | observed sales over all households |

## Parameters

| parameter | value |
| --- | --- |
| price_coefficient | {arguments.price_coefficient!r} |
| nesting | {nesting!r} |
| outside_utility | 0.0 |
| households | {arguments.households} |

Utility is `quality - price_coefficient * price` plus a nested-logit shock, with price in thousand
1983 dollars. Units sold are `share * households`, whole numbers for all models.

`price_coefficient` is the IV logit estimate of BLP (1995), Table III. `nesting` is estimated at
that coefficient by two-stage least squares on all 2,217 model-years, standard errors clustered by
model:

| specification | α | σ |
| --- | --- | --- |
| σ at the published α (used) | {arguments.price_coefficient} (fixed) | \
{given.coefficients[-1]:.3f} ({given.errors[-1]:.3f}) |
| α and σ together | {-both.coefficients[-2]:.3f} ({both.errors[-2]:.3f}) | \
{both.coefficients[-1]:.3f} ({both.errors[-1]:.3f}) |
| σ at the published α, without sums over the nest | {arguments.price_coefficient} (fixed) | \
{shipped.coefficients[-1]:.3f} ({shipped.errors[-1]:.3f}) |
| plain logit, pyblp's instruments | {-plain.coefficients[-1]:.3f} ({plain.errors[-1]:.3f}) | \
0 (fixed) |
| plain logit, ordinary least squares | {demand.ordinary_logit():.4f} | 0 (fixed) |

## Costs

`cost` solves each firm's first-order conditions s_k + Σ_j (p_j − c_j) ∂s_j/∂p_k = 0, the sum
over all models j of the firm that sells k, at the observed prices and shares.

| figure (money in thousand 1983 dollars) | value |
| --- | --- |
{rows}

## Licence

pyblp, with the data it ships, is under the MIT licence (Copyright 2021 Jeff Gortmaker and
Christopher Conlon). Prices and shares are facts that the authors collected from *Automotive News
Market Data Book*; costs, utilities and names are this project's own. Cite BLP (1995) and pyblp.
""",
        encoding="utf-8",
    )


def build(arguments: BuildSettings) -> dict[str, float]:
    """Write autos_1990.csv and autos_1990.md; return the summary."""
    products = read_products(arguments.products)
    cars = products.filter(pl.col("market_ids") == YEAR).sort("firm_ids", "car_ids")
    check_sellers(cars)
    check_households(cars["shares"].to_numpy(), arguments.households)
    demand = DemandRegression(products)
    nesting = arguments.nesting
    if nesting is None:
        estimate = demand.nesting_given(arguments.price_coefficient)
        nesting = round(float(estimate.coefficients[-1]), 3)
    market = calibrate(cars, arguments.price_coefficient, nesting)
    figures = summary(cars, market)
    if market.cost.min() < 0.0:
        raise SystemExit(
            f"{figures['negative costs']} costs are negative at price_coefficient "
            f"{arguments.price_coefficient} and nesting {nesting}: raise either"
        )
    arguments.output.mkdir(parents=True, exist_ok=True)
    write_catalogue(arguments.output / "autos_1990.csv", cars, market)
    write_note(arguments.output / "autos_1990.md", arguments, nesting, demand, figures)
    return figures


def main() -> None:
    """Read the arguments from the command line, build and print the summary."""
    parser = argparse.ArgumentParser(prog="python -m experiments.autos_1990.build")
    kinds = {"products": Path, "output": Path, "price_coefficient": float, "nesting": float}
    for item in fields(BuildSettings):
        flag = "--" + item.name.replace("_", "-")
        parser.add_argument(flag, type=kinds.get(item.name, int), default=item.default)
    for name, value in build(BuildSettings(**vars(parser.parse_args()))).items():
        print(f"{name:40s} {value:.6g}")


if __name__ == "__main__":
    main()
