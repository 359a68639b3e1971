"""The parameters of a sweep, and the combinations that a grid or a random search makes of them."""

import itertools
import math
import random
from collections.abc import Callable, Mapping
from statistics import NormalDist
from typing import Any

from pydantic import BaseModel, ConfigDict

# Drawn numbers are written with as many digits as a person would.
_DIGITS = 4


class Parameter(BaseModel):
    """One entry of a sweep's `parameters`, with W&B's keys.

    Attributes:
        value: The only value.
        values: The values to choose from.
        probabilities: How often each of `values` is drawn; equally often where left out.
        distribution: How to draw a number: a name in `DISTRIBUTIONS`, or `constant` or `categorical`, which
            say no more than `value` and `values` do.
        min: Smallest number, or its logarithm for `log_uniform`.
        max: Largest number, or its logarithm.
        mu: Mean of a normal distribution (0).
        sigma: Its standard deviation (1).
        q: Step of a distribution whose name begins with `q_` (1).
        parameters: Entries one level deeper: `model: {parameters: {lr: ...}}` is `model.lr: ...`.
    """

    model_config = ConfigDict(extra="forbid")

    value: Any = None
    values: list[Any] | None = None
    probabilities: list[float] | None = None
    distribution: str | None = None
    min: float | int | None = None
    max: float | int | None = None
    mu: float = 0.0
    sigma: float = 1.0
    q: float | int = 1
    parameters: dict[str, "Parameter"] | None = None

    def kind(self) -> str:
        """Return the distribution, `constant` or `categorical`; guessed as W&B does where none is named.

        Raises:
            ValueError: What is given does not make one.
        """
        if "value" in self.model_fields_set:
            return "constant"
        if self.values is not None:
            return self._categorical()
        kind = self.distribution or self._uniform()
        if kind not in DISTRIBUTIONS:
            raise ValueError(f"unknown distribution {kind!r}; known are {', '.join(DISTRIBUTIONS)}")
        if not kind.endswith("normal") and (self.min is None or self.max is None or self.min > self.max):
            raise ValueError(f"{kind} needs min <= max, got {self.min} and {self.max}")
        if kind.endswith("log_uniform_values") and (self.min or 0) <= 0:
            raise ValueError(f"{kind} needs a positive min, got {self.min}")
        return kind

    def _categorical(self) -> str:
        if not self.values:
            raise ValueError("'values' is empty")
        if self.probabilities is not None and not (
            len(self.probabilities) == len(self.values) and math.isclose(sum(self.probabilities), 1)
        ):
            raise ValueError("'probabilities' must be as many as 'values' and add up to 1")
        return "categorical"

    def _uniform(self) -> str:
        if self.min is None or self.max is None:
            raise ValueError("expected 'value', 'values', or 'min' and 'max'")
        return "int_uniform" if isinstance(self.min, int) and isinstance(self.max, int) else "uniform"

    def every(self) -> list[Any]:
        """Return the values that a grid goes through.

        Raises:
            ValueError: They are not countable, as those of `uniform`.
        """
        kind = self.kind()
        if kind == "constant":
            return [self.value]
        if kind == "categorical":
            return list(self.values or ())
        low, high = self.min or 0, self.max or 0
        if kind == "int_uniform":
            return list(range(int(low), int(high) + 1))
        if kind == "q_uniform":
            # Without its end, as W&B's grid.
            return [_round(low + n * self.q) for n in range(math.ceil((high - low) / self.q - 1e-9))]
        raise ValueError(f"a grid cannot go through {kind}; give 'values', or set method: random")

    def draw(self, uniform: float) -> Any:
        """Return the value at a quantile.

        Args:
            uniform: The quantile, in [0, 1).
        """
        kind = self.kind()
        if kind == "constant":
            return self.value
        if kind == "categorical":
            values = self.values or []
            ends = itertools.accumulate(self.probabilities or [1 / len(values)] * len(values))
            return next((value for value, end in zip(values, ends, strict=True) if uniform < end), values[-1])
        drawn = DISTRIBUTIONS[kind](self, uniform)
        return _round(round(drawn / self.q) * self.q if kind.startswith("q_") else drawn)


def _between(p: Parameter, u: float) -> float:
    return (p.min or 0) + ((p.max or 0) - (p.min or 0)) * u


def _whole(p: Parameter, u: float) -> float:
    return int(p.min or 0) + math.floor((int(p.max or 0) - int(p.min or 0) + 1) * u)


def _log_between(p: Parameter, u: float) -> float:
    return math.exp(math.log(p.min or 1) + math.log((p.max or 1) / (p.min or 1)) * u)


def _normal(p: Parameter, u: float) -> float:
    # The quantile 0 has no finite value.
    return NormalDist(p.mu, p.sigma).inv_cdf(max(u, 2**-53))


DISTRIBUTIONS: dict[str, Callable[[Parameter, float], float]] = {
    "uniform": _between,
    "int_uniform": _whole,
    "q_uniform": _between,
    "log_uniform": lambda p, u: math.exp(_between(p, u)),
    "log_uniform_values": _log_between,
    "q_log_uniform_values": _log_between,
    "normal": _normal,
    "q_normal": _normal,
    "log_normal": lambda p, u: math.exp(_normal(p, u)),
}


def flatten(parameters: Mapping[str, Parameter], above: str = "") -> dict[str, Parameter]:
    """Return the parameters by dotted key, those of deeper levels too."""
    flat: dict[str, Parameter] = {}
    for key, parameter in parameters.items():
        if parameter.parameters is None:
            flat[above + key] = parameter
        else:
            flat.update(flatten(parameter.parameters, f"{above}{key}."))
    return flat


def grid(parameters: Mapping[str, Parameter]) -> list[dict[str, Any]]:
    """Return every combination, the last key changing fastest."""
    values = [parameter.every() for parameter in parameters.values()]
    return [dict(zip(parameters, combination, strict=True)) for combination in itertools.product(*values)]


def draws(parameters: Mapping[str, Parameter], count: int, seed: str) -> list[dict[str, Any]]:
    """Return random combinations.

    The draw of a key is a function of (seed, key, number of the combination) alone: more combinations, or
    another parameter, leave the others as they were.

    Args:
        parameters: By dotted key.
        count: How many.
        seed: Any text.
    """
    return [
        {
            key: parameter.draw(random.Random(f"{seed}/{key}/{number}").random())
            for key, parameter in parameters.items()
        }
        for number in range(count)
    ]


def _round(number: float) -> float | int:
    if isinstance(number, int):
        return number
    return float(f"{number:.{_DIGITS}g}")
