"""The blur of every preset of `cofusion.sensors` in words, as the presets themselves need torch."""

import math


def blur(preset: str, scale: int) -> str:
    """Return what an LRHSI was blurred with.

    Args:
        preset: The preset's name.
        scale: Ratio of the pixel sizes.
    """
    as_wide_as_a_block = scale / math.sqrt(8 * math.log(2))
    words = {
        "paper": _gaussian(0.5),
        "wald": _gaussian(as_wide_as_a_block),
        "3dt": _gaussian(2.0),
        "ssrnet": f"{_gaussian(2.0)} and a bilinear resize",
        "lgct": f"{_gaussian(2.0)} and a bilinear resize",
        "hypertransformer": _gaussian(as_wide_as_a_block),
        "hysure": "binomial filter",
        "hiftool": _gaussian(0.666 * scale),
        "supres": "mean of the block",
    }
    return words.get(preset, "PSF not recorded")


def _gaussian(sigma: float) -> str:
    return f"Gaussian of sigma {sigma:.4g} pixels"
