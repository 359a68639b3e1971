"""The frequency split against PyWavelets."""

import numpy as np
import pytest
import pywt
import torch

from cofusion.models.cofusion.wavelet import WaveletSplit, haar_low

WAVELETS = ("haar", "db2", "sym4", "bior2.2")
SIZES = ((8, 8), (7, 10), (5, 5), (3, 2), (1, 1))


def by_pywavelets(x: np.ndarray, wavelet: str) -> tuple[np.ndarray, np.ndarray]:
    rows, cols = x.shape[-2:]
    low, details = pywt.dwt2(x, wavelet)
    nothing = (np.zeros_like(low),) * 3
    return (
        pywt.idwt2((low, nothing), wavelet)[..., :rows, :cols],
        pywt.idwt2((np.zeros_like(low), details), wavelet)[..., :rows, :cols],
    )


@pytest.mark.filterwarnings("ignore:Level value")
@pytest.mark.parametrize("wavelet", WAVELETS)
@pytest.mark.parametrize("size", SIZES)
def test_split_equals_pywavelets(wavelet, size):
    x = np.random.default_rng(0).normal(size=(2, 3, *size))
    expected_low, expected_high = by_pywavelets(x, wavelet)
    low, high = WaveletSplit(wavelet).double()(torch.from_numpy(x))
    np.testing.assert_allclose(low, expected_low, atol=1e-10)
    np.testing.assert_allclose(high, expected_high, atol=1e-10)


@pytest.mark.parametrize("wavelet", WAVELETS)
@pytest.mark.parametrize("size", SIZES)
def test_parts_add_up_to_the_features(wavelet, size):
    x = torch.rand(2, 3, *size)
    low, high = WaveletSplit(wavelet)(x)
    torch.testing.assert_close(low + high, x, rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", SIZES)
def test_fast_haar_equals_the_filters(size):
    x = torch.rand(2, 3, *size)
    torch.testing.assert_close(haar_low(x), WaveletSplit("haar").filter_low(x))


def test_unknown_wavelet_is_named():
    with pytest.raises(ValueError, match="nope"):
        WaveletSplit("nope")
