"""The sensors of a real pair: estimated from it, read from a file, or known by name."""

import logging
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from cofusion.errors import UserError
from cofusion.scenes import Scene
from cofusion.sensors import Preset, PSFSpec, ResponseSpec, Sensors, estimate_sensors
from cofusion.sensors.files import read_sensors

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class RealImages:
    """Two images of one place.

    Attributes:
        hsi: The LRHSI, `(C, h, w)`.
        hr_msi: `(c, H, W)` with `H = scale * h` and `W = scale * w`.
        hr_nodata: `(H, W)` bool, True where the HRMSI holds no data, or None where all pixels do.
        scale: Ratio of the two resolutions.
    """

    hsi: Scene
    hr_msi: Tensor
    hr_nodata: Tensor | None
    scale: int

    def estimated(self) -> Sensors:
        """Estimate both sensors from the images, and warn of signs that the estimate is not to be relied on.

        Raises:
            UserError: The images do not allow it, see `cofusion.sensors.estimate_sensors`.
        """
        found = estimate_sensors(
            self.hsi.cube, self.hr_msi, self.scale, lr_nodata=self.hsi.nodata, hr_nodata=self.hr_nodata
        )
        for doubt in found.doubts():
            _log.warning(f"the sensors estimated from {self.hsi.name} are doubtful: {doubt}")
        return found.sensors()

    def named(
        self, response: ResponseSpec, preset: Preset, psf: PSFSpec | None, phase: float | None
    ) -> Sensors:
        """Build the sensors from a known response and a named blur, see `Sensors.preset`.

        Raises:
            UserError: The LRHSI has no wavelengths, or the response another number of bands than the HRMSI.
        """
        if self.hsi.wavelengths is None:
            raise UserError(
                f"{self.hsi.source} states no wavelengths, which a response needs; give the first and the "
                f"last in nm: --data.wavelengths '[400, 1000]'"
            )
        seen = response(self.hsi.wavelengths)
        if seen.msi_bands != len(self.hr_msi):
            raise UserError(
                f"the response has {seen.msi_bands} bands ({', '.join(seen.names)}), the HRMSI has "
                f"{len(self.hr_msi)}; choose those that it holds, in order"
            )
        return Sensors.preset(preset, self.scale, seen, psf=psf, phase=phase)

    def read(self, path: Path) -> Sensors:
        """Read the sensors from a file.

        Raises:
            UserError: No such file, a damaged one, or one of another pair.
        """
        sensors = read_sensors(path)
        bands = len(self.hr_msi), len(self.hsi.cube)
        sensors.check_fits(self.scale, *bands, who=f"{path} holds sensors")
        return sensors
