"""What is timed under which conditions."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from cofusion.errors import UserError


@dataclass(frozen=True)
class Case:
    """The conditions under which all methods are compared.

    Attributes:
        size: Rows and columns of the output.
        bands: HSI and MSI bands.
        scale: Ratio of the two resolutions.
        precision: `float32`; `bf16`, under autocast; `compiled`, in float32 by `torch.compile` with
            frozen weights.
        batch: Images at a time.

    Raises:
        UserError: A number is not positive, or the scale does not divide the size.
    """

    size: int
    bands: tuple[int, int]
    scale: int = 4
    precision: str = "float32"
    batch: int = 1

    def __post_init__(self) -> None:
        if min(self.size, self.batch, *self.bands) < 1 or self.scale < 2:
            raise UserError(
                f"expected sizes, bands and batches of at least 1 and a scale of at least 2, got size "
                f"{self.size}, bands {self.bands_text}, batch {self.batch}, scale {self.scale}"
            )
        if self.size % self.scale:
            raise UserError(
                f"scale {self.scale} does not divide the size {self.size}; choose a multiple of {self.scale}"
            )

    def __str__(self) -> str:
        return f"{self.size} x {self.size}, {self.bands_text} bands, {self.precision}"

    @property
    def bands_text(self) -> str:
        """Both numbers of bands, as in `103/4`."""
        return "/".join(map(str, self.bands))

    def inputs(self, device: str = "cpu") -> tuple[Tensor, Tensor]:
        """Return random images, `lr_hsi (B, C, h, w)` and `hr_msi (B, c, H, W)`."""
        low = self.size // self.scale
        return (
            torch.rand(self.batch, self.bands[0], low, low, device=device),
            torch.rand(self.batch, self.bands[1], self.size, self.size, device=device),
        )

    def prepare(self, net: nn.Module) -> Any:
        """Return what is called in the network's place: itself, or itself compiled."""
        # Frozen convolutions fail on sizes that vary (torch 2.13).
        return torch.compile(net, dynamic=False) if self.precision == "compiled" else net

    @contextmanager
    def conditions(self, device: str = "cpu") -> Iterator[None]:
        """Compute in this precision, without gradients."""
        with (
            torch.inference_mode(),
            torch.autocast(device.partition(":")[0], torch.bfloat16, enabled=self.precision == "bf16"),
        ):
            yield


@contextmanager
def compiler(case: Case) -> Iterator[None]:
    """Forget what was compiled for other cases, and freeze weights for this one."""
    if case.precision != "compiled":
        yield
        return
    import torch._dynamo.config as dynamo
    import torch._inductor.config as inductor

    torch.compiler.reset()
    # All networks share the code of one forward method, and so its limit of compilations.
    with inductor.patch(freezing=True), dynamo.patch(recompile_limit=1000, accumulated_recompile_limit=10000):
        yield
    torch.compiler.reset()
