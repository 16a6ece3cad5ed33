"""Least squares with standard errors that autocorrelation and changing variance do not upset."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mos_agents.market.printing import short_repr
from mos_agents.market.types import Array


@short_repr
@dataclass(frozen=True, eq=False)
class Fit:
    """A regression.

    Parameters
    ----------
    coefficients : array [K]
        Least-squares coefficients.
    covariance : array [K, K]
        Their covariance, by Newey and West.
    freedom : int
        Observations less coefficients.
    """

    coefficients: Array
    covariance: Array
    freedom: int

    def combined(self, weights: Array) -> tuple[float, float]:
        """A weighted sum of coefficients and its standard error.

        Parameters
        ----------
        weights : array [K]
            Weights.

        Returns
        -------
        tuple of float
            Sum and standard error.
        """
        variance = float(weights @ self.covariance @ weights)
        return float(weights @ self.coefficients), float(np.sqrt(max(variance, 0.0)))


def least_squares(y: Array, x: Array, lags: int | None = None) -> Fit:
    """Regress y on the columns of x, with the covariance of Newey and West [1]_.

    Parameters
    ----------
    y : array [T]
        What is explained.
    x : array [T, K]
        Regressors; a column that the others determine gets the coefficient 0.
    lags : int, optional
        Lags of the covariance, by default 4 (T / 100)^(2/9), rounded down.

    Returns
    -------
    Fit
        The regression. Residuals are divided by 1 - leverage, as in the jackknife.

    References
    ----------
    .. [1] Newey, W. and West, K. (1987). A simple, positive semi-definite, heteroskedasticity and
           autocorrelation consistent covariance matrix. Econometrica 55(3).
    """
    ticks, columns = x.shape
    inverse = np.linalg.pinv(x.T @ x)
    beta = inverse @ (x.T @ y)
    # Residuals are too small at influential dates; tests of few dates would sound too often.
    leverage = np.clip(np.einsum("tk,kl,tl->t", x, inverse, x), 0.0, 0.99)
    score = x * ((y - x @ beta) / (1.0 - leverage))[:, None]
    depth = int(4.0 * (ticks / 100.0) ** (2.0 / 9.0)) if lags is None else lags
    middle = score.T @ score
    for lag in range(1, min(depth, ticks - 1) + 1):
        product = score[lag:].T @ score[:-lag]
        middle += (1.0 - lag / (depth + 1.0)) * (product + product.T)
    return Fit(beta, inverse @ middle @ inverse, max(ticks - columns, 1))


def lagged(series: Array, lags: int) -> Array:
    """A series and its lags, without the first `lags` dates.

    Parameters
    ----------
    series : array [T]
        The series.
    lags : int
        Number of lags.

    Returns
    -------
    array [T - lags, lags + 1]
        Column k is the series k dates before.
    """
    length = len(series) - lags
    return np.column_stack([series[lags - k : lags - k + length] for k in range(lags + 1)])
