"""CNMF: coupled non-negative matrix factorisation of both images."""

from collections.abc import Iterator

import torch
from torch import Tensor

from cofusion.errors import UserError
from cofusion.models.classical.base import ClassicalMethod
from cofusion.models.classical.subspace import vertex_components
from cofusion.sensors import Sensors, upsample

# Pixels whose abundances are iterated at once: they stay in a processor's cache.
_BLOCK = 4096
# A multiplicative update leaves zero at zero: no abundance starts lower than this.
_FLOOR = 1e-4
# Steps between two looks at the cost.
_LOOK = 10


class CNMF(ClassicalMethod):
    """Coupled non-negative matrix factorisation (Yokoya, Yairi and Iwasaki, IEEE TGRS 50(2), 2012).

    The LRHSI is unmixed into endmembers and abundances, `X = W Hh`; the HRMSI with the endmembers as the
    response sees them, `Y = R W Hm`, starting at the interpolated abundances. What the sensor's blur makes of
    the abundances found in one starts the unmixing of the other, in turns; the result is `Z = W Hm`. Both are
    unmixed by multiplicative updates (Lee and Seung, 2001), which never raise `|V - W H|²`. A row of constant
    `δ` below both images asks the abundances of a pixel to sum to one.

    Negative values count as zero, and the result has none.

    Args:
        endmembers: How many; at most as many as there are bands and as the LRHSI has directions.
        rounds: Unmixings of both images after the first.
        iterations: Updates per unmixing, at most.
        tolerance: Relative change of the cost, per update, at which an unmixing ends.
        seed: Seed of the vertex component analysis that finds the first endmembers.

    Raises:
        UserError: Fewer than one endmember or update, or a negative number of rounds or tolerance.
    """

    def __init__(
        self,
        endmembers: int = 30,
        rounds: int = 2,
        iterations: int = 200,
        tolerance: float = 1e-5,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if endmembers < 1 or rounds < 0 or iterations < 1 or tolerance < 0:
            raise UserError(
                f"CNMF takes endmembers >= 1, rounds >= 0, iterations >= 1 and tolerance >= 0, not "
                f"endmembers {endmembers}, rounds {rounds}, iterations {iterations} and tolerance {tolerance}"
            )
        self.endmembers = endmembers
        self.rounds = rounds
        self.iterations = iterations
        self.tolerance = tolerance
        self.seed = seed

    def fuse(self, lr_hsi: Tensor, hr_msi: Tensor, sensors: Sensors) -> Tensor:
        """Return `(B, C, H, W)`; one image of the batch after the other."""
        pairs = zip(lr_hsi, hr_msi, strict=True)
        fused = [self._fuse_one(x.clamp(min=0), y.clamp(min=0), sensors) for x, y in pairs]
        return torch.stack(fused) if len(fused) > 1 else fused[0][None]

    def _fuse_one(self, x: Tensor, y: Tensor, sensors: Sensors) -> Tensor:
        spectra = vertex_components(x.flatten(1), self.endmembers, self.seed).to(x)
        delta = sum_to_one_weight(y)
        hsi, msi = Unmixing(x, spectra, delta), Unmixing(y, sensors.response.weights.to(x) @ spectra, delta)
        self._unmix(hsi, first="abundances")
        msi.abundances = _pixels(upsample(_image(hsi.abundances, x), sensors.scale, sensors.phase))
        self._unmix_msi(msi, hsi, sensors)
        for _ in range(self.rounds):
            hsi.abundances = _pixels(sensors.lr_hsi(_image(msi.abundances, y)))
            self._unmix(hsi, first="spectra")
            self._unmix_msi(msi, hsi, sensors)
        return torch.unflatten(hsi.spectra @ msi.abundances, 1, y.shape[1:]).float()

    def _unmix_msi(self, msi: "Unmixing", hsi: "Unmixing", sensors: Sensors) -> None:
        msi.spectra = sensors.response.weights.to(hsi.spectra) @ hsi.spectra
        msi.fit_abundances(self.iterations, self.tolerance)
        # Three bands determine no spectra.
        if len(msi.spectra) > 3:
            msi.fit_both(self.iterations, self.tolerance)

    def _unmix(self, hsi: "Unmixing", first: str) -> None:
        if first == "abundances":
            hsi.fit_abundances(3 * self.iterations, self.tolerance)
        else:
            hsi.update_spectra()
        hsi.fit_both(self.iterations, self.tolerance)


class Unmixing:
    """One image as `V = W H`, pixels in columns, with a band of constant `δ` that asks for sums of one.

    Args:
        image: `V (bands, rows, cols)`, not negative.
        spectra: `W (bands, m)`, not negative.
        delta: The constant.
    """

    def __init__(self, image: Tensor, spectra: Tensor, delta: float) -> None:
        self._pixels = torch.cat([image.flatten(1), image.new_full((1, image[0].numel()), delta)])
        self._spectra = torch.cat([spectra, spectra.new_full((1, spectra.shape[1]), delta)])
        self.abundances = image.new_full((spectra.shape[1], image[0].numel()), 1 / spectra.shape[1])
        self._tiny = torch.finfo(image.dtype).tiny ** 0.5
        # With few bands, W H is formed on the way to Wᵀ W H and W H Hᵀ; with many, Wᵀ W and H Hᵀ.
        self._few = 2 * len(self._spectra) < spectra.shape[1]

    @property
    def spectra(self) -> Tensor:
        """`W (bands, m)`."""
        return self._spectra[:-1]

    @spectra.setter
    def spectra(self, spectra: Tensor) -> None:
        self._spectra = torch.cat([spectra, self._spectra[-1:]])

    def cost(self) -> float:
        """Return `|V - W H|²`, the band of `δ` included."""
        return float((self._pixels - self._spectra @ self.abundances).square().sum())

    def update_spectra(self) -> None:
        """`W <- W * (V Hᵀ) / (W H Hᵀ)`; the band of `δ` stays."""
        self._scale_spectra(self._all_products())

    def update_abundances(self) -> None:
        """`H <- H * (Wᵀ V) / (Wᵀ W H)`."""
        for v, h in self._blocks():
            self._scale_abundances(h, self._spectra.mT @ v)

    def fit_abundances(self, iterations: int, tolerance: float) -> None:
        """Update the abundances alone, block by block of pixels, each until its own cost stands still."""
        for v, h in self._blocks():
            seen, part, h = self._spectra.mT @ v, h, h.contiguous()
            last = float("inf")
            for i in range(iterations):
                if tolerance and i % _LOOK == 0:
                    cost = float((v - self._spectra @ h).square().sum())
                    if last - cost < _LOOK * tolerance * cost:
                        break
                    last = cost
                self._scale_abundances(h, seen)
            part.copy_(h)

    def fit_both(self, iterations: int, tolerance: float) -> None:
        """Update spectra and abundances in turns."""
        products = self._all_products()
        last = float("inf")
        for i in range(iterations):
            if tolerance and i % _LOOK == 0:
                cost = self.cost()
                if last - cost < _LOOK * tolerance * cost:
                    break
                last = cost
            self._scale_spectra(products)
            parts = []
            # What the next spectra need of a block is summed up while it is at hand.
            for v, h in self._blocks():
                self._scale_abundances(h, self._spectra.mT @ v)
                parts.append(self._products(v, h))
            products = torch.stack(parts).sum(0)

    def _blocks(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield pixels and their abundances, as many at a time as a processor's cache holds."""
        yield from zip(
            torch.split(self._pixels, _BLOCK, 1), torch.split(self.abundances, _BLOCK, 1), strict=True
        )

    def _products(self, v: Tensor, h: Tensor) -> Tensor:
        """Return `V Hᵀ` and, below it, `W H Hᵀ` of some pixels."""
        if self._few:
            return torch.cat([v, self._spectra @ h]) @ h.mT
        return torch.cat([v @ h.mT, self._spectra @ (h @ h.mT)])

    def _all_products(self) -> Tensor:
        return torch.stack([self._products(v, h) for v, h in self._blocks()]).sum(0)

    def _scale_spectra(self, products: Tensor) -> None:
        seen, expected = products.chunk(2)
        self.spectra = (self._spectra * seen / expected.clamp(min=self._tiny))[:-1]

    def _scale_abundances(self, h: Tensor, seen: Tensor) -> None:
        w = self._spectra
        expected = w.mT @ (w @ h) if self._few else (w.mT @ w) @ h
        h.mul_(seen).div_(expected.clamp_(min=self._tiny))


def sum_to_one_weight(y: Tensor) -> float:
    """Return `δ = 2 (mean Y / 0.7455)^(1/2) / c³` of an MSI `(c, H, W)`, as in the authors' code."""
    return float(2 * (y.double().mean().clamp(min=0) / 0.7455).sqrt() / y.shape[0] ** 3)


def _image(abundances: Tensor, image: Tensor) -> Tensor:
    """Return abundances `(m, n)` as `(1, m, rows, cols)`."""
    return torch.unflatten(abundances, 1, image.shape[1:])[None]


def _pixels(abundances: Tensor) -> Tensor:
    """Return `(1, m, rows, cols)` as `(m, n)`, at least the floor."""
    return abundances[0].flatten(1).clamp(min=_FLOOR).contiguous()
