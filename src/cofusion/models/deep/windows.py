"""Self-attention inside non-overlapping windows, on maps `(B, H, W, D)` with the channels last."""

import torch.nn.functional as F
from torch import Tensor


def to_windows(x: Tensor, size: int) -> Tensor:
    """Cut `(B, H, W, D)` into windows `(B * H/size * W/size, size * size, D)`, row by row."""
    batch, rows, cols, dim = x.shape
    cut = x.reshape(batch, rows // size, size, cols // size, size, dim)
    return cut.transpose(2, 3).reshape(-1, size * size, dim)


def from_windows(windows: Tensor, size: int, rows: int, cols: int) -> Tensor:
    """Put the windows of `to_windows` back into `(B, rows, cols, D)`."""
    dim = windows.shape[-1]
    cut = windows.reshape(-1, rows // size, cols // size, size, size, dim)
    return cut.transpose(2, 3).reshape(-1, rows, cols, dim)


def self_attention(qkv: Tensor, heads: int, mask: Tensor | None = None, scale: float | None = None) -> Tensor:
    """Multi-head self-attention of every window.

    Args:
        qkv: Queries, keys and values side by side, `(windows, tokens, 3 * D)`, each made of `heads` heads.
        heads: Number of heads.
        mask: Added to the logits, broadcastable to `(windows, heads, tokens, tokens)`.
        scale: Factor of the logits; left out, `(D / heads)^-0.5`.

    Returns:
        The heads' outputs side by side, `(windows, tokens, D)`.
    """
    q, k, v = qkv.reshape(*qkv.shape[:2], 3, heads, -1).permute(2, 0, 3, 1, 4)
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale)
    return out.transpose(1, 2).flatten(2)
