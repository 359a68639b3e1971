"""What every fusion model asks of the shapes of its two inputs."""

from torch import Tensor


def check_pair(
    lr_hsi: Tensor, hr_msi: Tensor, scale: int, hsi_bands: int | None = None, msi_bands: int | None = None
) -> None:
    """Check that the two images belong together.

    Args:
        lr_hsi: Expected `(B, hsi_bands, h, w)`.
        hr_msi: Expected `(B, msi_bands, h * scale, w * scale)`.
        scale: Ratio of the two resolutions.
        hsi_bands: Number of HSI bands, where the model fixes it.
        msi_bands: Number of MSI bands, where the model fixes it.

    Raises:
        ValueError: They do not; the message names both shapes and what was expected.
    """
    given = f"lr_hsi {tuple(lr_hsi.shape)} and hr_msi {tuple(hr_msi.shape)}"
    if lr_hsi.ndim != 4 or hr_msi.ndim != 4:
        raise ValueError(f"expected (batch, bands, rows, cols) for both images, got {given}")
    batch, bands, h, w = lr_hsi.shape
    expected_lr = (batch, bands if hsi_bands is None else hsi_bands, h, w)
    expected_hr = (batch, hr_msi.shape[1] if msi_bands is None else msi_bands, h * scale, w * scale)
    if tuple(lr_hsi.shape) != expected_lr or tuple(hr_msi.shape) != expected_hr:
        raise ValueError(
            f"at scale {scale} expected lr_hsi {expected_lr} and hr_msi {expected_hr}, got {given}"
        )
