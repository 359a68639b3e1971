"""Unmixing of one image into spectra and abundances by multiplicative updates (Lee and Seung, 2001)."""

import torch
from torch import Tensor

# Numbers of a block of pixels that is updated at once: they stay in a processor's cache.
_BLOCK = 200_000
# Steps between two looks at the cost.
_LOOK = 10


class Unmixing:
    """One image as `V = W H`, pixels in columns, with a band of constant `δ` that asks for sums of one.

    Args:
        image: `V (bands, rows, cols)`, not negative.
        spectra: `W (bands, m)`, not negative.
        delta: The constant, greater than zero.
    """

    def __init__(self, image: Tensor, spectra: Tensor, delta: float) -> None:
        bands, members = len(spectra) + 1, spectra.shape[1]
        # With few bands, W H is formed on the way to Wᵀ W H and W H Hᵀ; with many, Wᵀ W and H Hᵀ.
        self._few = 2 * bands < members
        self._length = max(1, _BLOCK // (members + (2 * bands if self._few else bands)))
        self._blocks = [
            Block(torch.cat([v, v.new_full((1, v.shape[1]), delta)]), members, self._few)
            for v in torch.split(image.flatten(1), self._length, 1)
        ]
        self._tiny = torch.finfo(image.dtype).tiny ** 0.5
        self._delta = spectra.new_full((1, members), delta)
        self.spectra = spectra

    @property
    def spectra(self) -> Tensor:
        """`W (bands, m)`."""
        return self._w[:-1]

    @spectra.setter
    def spectra(self, spectra: Tensor) -> None:
        self._w = torch.cat([spectra, self._delta])
        self._wt = self._w.mT.contiguous()
        self._gram = self._wt @ self._w

    @property
    def abundances(self) -> Tensor:
        """`H (m, pixels)`."""
        return torch.cat([block.h for block in self._blocks], 1)

    @abundances.setter
    def abundances(self, abundances: Tensor) -> None:
        for block, h in zip(self._blocks, torch.split(abundances, self._length, 1), strict=True):
            block.h.copy_(h)

    def mixed(self, spectra: Tensor) -> Tensor:
        """Return other spectra `(bands, m)` mixed by the abundances, `(bands, pixels)`."""
        return torch.cat([spectra @ block.h for block in self._blocks], 1)

    def cost(self) -> float:
        """Return `|V - W H|²`, the band of `δ` included."""
        return sum(self._cost(block) for block in self._blocks)

    def update_spectra(self) -> None:
        """`W <- W * (V Hᵀ) / (W H Hᵀ)`; the band of `δ` stays."""
        self._scale_spectra(self._products())

    def update_abundances(self) -> None:
        """`H <- H * (Wᵀ V) / (Wᵀ W H)`."""
        for block in self._blocks:
            self._scale_abundances(block, self._wt @ block.v)

    def fit_abundances(self, iterations: int, tolerance: float) -> None:
        """Update the abundances alone, block by block of pixels, each until its own cost stands still."""
        for block in self._blocks:
            seen = self._wt @ block.v
            last = float("inf")
            for i in range(iterations):
                if tolerance and i % _LOOK == 0:
                    cost = self._cost(block)
                    if last - cost < _LOOK * tolerance * cost:
                        break
                    last = cost
                self._scale_abundances(block, seen)

    def fit_both(self, iterations: int, tolerance: float) -> None:
        """Update spectra and abundances in turns."""
        products = self._products()
        last = float("inf")
        for i in range(iterations):
            if tolerance and i % _LOOK == 0:
                cost = self.cost()
                if last - cost < _LOOK * tolerance * cost:
                    break
                last = cost
            self._scale_spectra(products)
            products.zero_()
            # What the next spectra need of a block is summed up while it is at hand.
            for block in self._blocks:
                self._scale_abundances(block, self._wt @ block.v)
                self._add_products(block, products)

    def _cost(self, block: "Block") -> float:
        return float((block.v - self._w @ block.h).square_().sum())

    def _products(self) -> Tensor:
        """Return `H Vᵀ` and, beside it, `H (W H)ᵀ` (with few bands) or `H Hᵀ`."""
        products = self._w.new_zeros(self._w.shape[1], len(self._blocks[0].left))
        for block in self._blocks:
            self._add_products(block, products)
        return products

    def _add_products(self, block: "Block", products: Tensor) -> None:
        if self._few:
            torch.mm(self._w, block.h, out=block.wh)
        products.addmm_(block.h, block.left.mT)

    def _scale_spectra(self, products: Tensor) -> None:
        seen, expected = products.mT[: len(self._w)], products.mT[len(self._w) :]
        if not self._few:
            expected = self._w @ expected
        self.spectra = (self._w * seen / expected.clamp(min=self._tiny))[:-1]

    def _scale_abundances(self, block: "Block", seen: Tensor) -> None:
        if self._few:
            torch.mm(self._w, block.h, out=block.wh)
            expected = self._wt @ block.wh
        else:
            expected = self._gram @ block.h
        # Never zero: no abundances sum to zero, and all spectra have the band of δ.
        block.h.mul_(seen).div_(expected)


class Block:
    """Some pixels `V` and their abundances `H`, few enough to stay in a processor's cache.

    All lie in one piece of memory, below each other, with room for `W H` where it is asked for: what
    `H` is multiplied by is one matrix.
    """

    def __init__(self, v: Tensor, members: int, room: bool) -> None:
        bands = len(v)
        rows = 2 * bands if room else bands
        stack = v.new_full((rows + members, v.shape[1]), 1 / members)
        self.v, self.wh, self.h = stack[:bands], stack[bands:rows], stack[rows:]
        self.left = stack[:rows] if room else stack
        self.v.copy_(v)
