"""The spatial branch."""

import torch

from cofusion.models.cofusion.spacam import SpaCAM, softmax_over


def test_softmax_over_a_list():
    maps = [torch.randn(2, 3, 4, 4) * 50 for _ in range(3)]
    torch.testing.assert_close(torch.stack(softmax_over(maps)), torch.softmax(torch.stack(maps), 0))


def test_answer_away_from_the_border_does_not_depend_on_the_image_size():
    torch.manual_seed(0)
    spacam = SpaCAM(8).eval()
    f_spa = torch.rand(1, 8, 48, 48)
    whole = spacam(f_spa)[..., 16:32, 16:32]
    tile = spacam(f_spa[..., 8:40, 8:40])[..., 8:24, 8:24]
    torch.testing.assert_close(whole, tile)
