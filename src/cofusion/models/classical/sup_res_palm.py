"""SupResPALM: endmembers from one image, abundances from the other, by projected gradients."""

from collections.abc import Iterator

import torch
from torch import Tensor

from cofusion.errors import UserError
from cofusion.models.classical.base import SingleImageMethod
from cofusion.models.classical.subspace import purest_pixels
from cofusion.sensors import Sensors, upsample

# Pixels whose abundances are moved at once: they stay in a processor's cache.
_BLOCK = 4096
# Steps that the first abundances of the LRHSI take.
_FIRST = 300


class SupResPALM(SingleImageMethod):
    """Coupled spectral unmixing (Lanaras, Baltsavias and Schindler, ICCV 2015).

    The scene is `Z = E A` with endmembers `0 <= E <= 1` and abundances on the simplex. In turns, the
    endmembers explain the LRHSI with the degraded abundances, and the abundances explain the HRMSI with the
    endmembers as the response sees them, by projected gradient steps:

        E <- clip(E - (E As - X) Asᵀ / |As Asᵀ|)                     of |X - E As|²,  As = A B S
        A <- simplex(A - (R E)ᵀ (R E A - Y) / |(R E)ᵀ R E|)          of |Y - R E A|²

    The first endmembers are black and the brightest pixels that are no mixture of each other (in the paper:
    SISAL), the first abundances those of the LRHSI, interpolated (SUnSAL). The norm is the spectral one (in
    the authors' code 1.01 times Frobenius', which makes shorter steps), the number of steps per turn is fixed
    (there, a turn ends when a step wins less than 1%), and from the second step of a turn on they have
    Nesterov's momentum (Beck and Teboulle, SIAM Journal on Imaging Sciences 2(1), 2009). A step may then
    raise its misfit, but not the sum of the misfit and the norm times the square of the step's length
    (Chambolle and Dossal, Journal of Optimization Theory and Applications 166, 2015): no turn raises it.

    Args:
        endmembers: How many, the black one not counted; at most as many as there are bands and as the LRHSI
            has directions.
        rounds: Turns of both, at most.
        steps: Steps of each per turn.
        tolerance: Relative change of both misfits within a round at which the turns end.

    Raises:
        UserError: A number of endmembers, rounds or steps below 1, or a negative tolerance.
    """

    def __init__(
        self,
        endmembers: int = 30,
        rounds: int = 25,
        steps: int = 20,
        tolerance: float = 1e-4,
    ) -> None:
        super().__init__()
        if min(endmembers, rounds, steps) < 1 or tolerance < 0:
            raise UserError(
                f"SupResPALM takes endmembers, rounds and steps >= 1 and tolerance >= 0, not endmembers "
                f"{endmembers}, rounds {rounds}, steps {steps} and tolerance {tolerance}"
            )
        self.endmembers = endmembers
        self.rounds = rounds
        self.steps = steps
        self.tolerance = tolerance

    def fuse_one(self, x: Tensor, y: Tensor, sensors: Sensors) -> Tensor:
        """Return `(C, H, W)`."""
        response = sensors.response.weights.to(x)
        low, high = x.flatten(1), y.flatten(1)
        spectra = self.first_spectra(low)
        abundances = low.new_full((spectra.shape[1], low.shape[1]), 1 / spectra.shape[1])
        fit_abundances(low, spectra, abundances, _FIRST)
        coarse = torch.unflatten(abundances, 1, x.shape[1:])[None]
        abundances = to_simplex(upsample(coarse, sensors.scale, sensors.phase)[0].flatten(1))[0]
        last = (float("inf"), float("inf"))
        for _ in range(self.rounds):
            seen = sensors.lr_hsi(torch.unflatten(abundances, 1, y.shape[1:])).flatten(1)
            spectra = fit_spectra(low, seen, spectra, self.steps)
            fit_abundances(high, response @ spectra, abundances, self.steps)
            now = misfit(low, seen, spectra), misfit(high, abundances, response @ spectra)
            if all(abs(a - b) < self.tolerance * a for a, b in zip(last, now, strict=True)):
                break
            last = now
        return torch.unflatten(spectra @ abundances, 1, y.shape[1:]).float()

    def first_spectra(self, pixels: Tensor) -> Tensor:
        """Return the first endmembers of `(C, n)`: black and the purest pixels, `(C, m + 1)`."""
        pure = purest_pixels(pixels, self.endmembers).clamp(0, 1)
        return torch.cat([torch.zeros_like(pure[:, :1]), pure], 1)


def misfit(pixels: Tensor, abundances: Tensor, spectra: Tensor) -> float:
    """Return `|V - E A|²` of pixels `(bands, n)`, abundances `(m, n)` and spectra `(bands, m)`."""
    return float((pixels - spectra @ abundances).square().sum())


def fit_spectra(pixels: Tensor, abundances: Tensor, spectra: Tensor, steps: int) -> Tensor:
    """Return the spectra after projected gradient steps, in [0, 1], which never raise the misfit."""
    gram, seen = abundances @ abundances.mT, pixels @ abundances.mT
    step = _step(gram)
    ahead = spectra
    for push in _momentum(steps):
        moved = (ahead - (ahead @ gram - seen) * step).clamp_(0, 1)
        spectra, ahead = moved, torch.lerp(spectra, moved, 1 + push)
    return spectra


def fit_abundances(pixels: Tensor, spectra: Tensor, abundances: Tensor, steps: int) -> None:
    """Move abundances, in place, by projected gradient steps on the simplex, which never raise the misfit."""
    gram = spectra.mT @ spectra
    # (1 - gram step) A + step Eᵀ V, with both factors ready before the first step.
    step = _step(gram)
    keep = torch.eye(len(gram), dtype=gram.dtype, device=gram.device) - gram * step
    for v, part in zip(torch.split(pixels, _BLOCK, 1), torch.split(abundances, _BLOCK, 1), strict=True):
        seen, a, ahead, level = (spectra.mT * step) @ v, part, part, None
        for push in _momentum(steps):
            moved, level = to_simplex(torch.addmm(seen, keep, ahead), level)
            a, ahead = moved, torch.lerp(a, moved, 1 + push)
        part.copy_(a)


def to_simplex(columns: Tensor, guess: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return, for every column, the nearest one that is not negative and sums to one.

    It is what is left of the column above a level, which Newton's method finds for all columns at once: what
    is left above a level is convex in it, so that from the second step on it is approached from below
    (Michelot, JOTA 50(1), 1986) and reached in at most as many steps as there are rows.

    Args:
        columns: `(m, n)`.
        guess: Levels `(n,)` to begin with, for example those of similar columns.

    Returns:
        The columns and their levels.
    """
    top = columns.amax(0)
    level = top - 1 if guess is None else torch.where(guess < top, guess, top - 1)
    close = 4 * torch.finfo(columns.dtype).eps
    for _ in range(len(columns) + 1):
        left = (columns - level).clamp_(min=0)
        step = (left.sum(0) - 1) / torch.sign(left).sum(0).clamp_(min=1)
        level = level + step
        if not bool((step.abs() > close * level.abs().clamp_(min=1)).any()):
            break
    return (columns - level).clamp_(min=0), level


def _step(gram: Tensor) -> Tensor:
    """Return one over the largest eigenvalue; anything will do where all are zero."""
    largest: Tensor = torch.linalg.eigvalsh(gram.double())[-1]
    return 1 / largest.clamp(min=1e-30).to(gram)


def _momentum(steps: int) -> Iterator[float]:
    """Yield how far to go beyond each step, in lengths of that step."""
    t = 1.0
    for _ in range(steps):
        following = (1 + (1 + 4 * t * t) ** 0.5) / 2
        yield (t - 1) / following
        t = following
