"""Resizes as matrix products, for sizes that depend on the frame, without control flow.

A bilinear resize is linear and works on rows and columns on their own: `rows @ picture @ columnsᵀ`.
The matrices are made of `Range`, subtraction and `Clip` in float32, so that cropping, padding and
a size known only at run time need no control flow, and two resizes in a row become one product.
Pixel centers are at half-integers everywhere.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Rows of the fit matrix that lie outside the image are divided by this instead of by zero.
_SMALL = 1e-3


def fitted_size(height: int, width: int, *, size: tuple[int, int]) -> tuple[int, int]:
    """Size of a frame that is fitted into the network's input with its aspect ratio kept.

    Each side is multiplied by min(size_h / height, size_w / width) and rounded, halves up, to at
    least 1; the arithmetic is of integers, so that every program gets the same size.

    Args:
        height: Height of the frame (a symbol while tracing).
        width: Width of the frame (a symbol while tracing).
        size: (height, width) inside the network.
    """
    fit_height, fit_width = size
    by_width = (2 * height * fit_width + width) // (2 * width)
    by_height = (2 * width * fit_height + height) // (2 * height)
    return (
        torch.sym_min(fit_height, torch.sym_max(1, by_width)),
        torch.sym_min(fit_width, torch.sym_max(1, by_height)),
    )


def fit_matrix(count: int, *, source: int, fitted: int) -> Tensor:
    """Resize `source` pixels to `fitted` and pad with zeros to `count`.

    Where pixels get fewer the triangle widens (antialiasing, as the published preprocessing does);
    where they get more it is plain bilinear.

    Returns:
        float32 [count, source]; rows sum to 1, from row `fitted` on to 0.
    """
    before, after = _scalar(source), _scalar(fitted)
    ratio = before / after
    row = torch.arange(count, dtype=torch.float32).unsqueeze(1)
    column = torch.arange(source, dtype=torch.float32).unsqueeze(0)
    distance = (column + 0.5 - (row + 0.5) * ratio).abs()
    weights = (1 - distance / ratio.clamp(min=1)).clamp(min=0)
    inside = (row < after).to(torch.float32)
    return weights * inside / weights.sum(1, keepdim=True).clamp(min=_SMALL)


def spread_matrix(count: int, *, wanted: int, fitted: int, grid: int, padded: int) -> Tensor:
    """From a grid over the padded image back to the frame, in one product.

    The grid is resized to the padded image, cropped to the fitted one, and resized to the frame;
    both resizes are bilinear without antialiasing.

    Args:
        count: Rows to make, at least `wanted`; those behind `wanted` are of no use.
        wanted: Pixels of the frame.
        fitted: Pixels of the fitted image.
        grid: Cells of the grid.
        padded: Pixels of the padded image.

    Returns:
        float32 [count, grid].
    """
    place = _places(count, wanted=wanted, fitted=fitted)
    pixel = torch.arange(padded, dtype=torch.float32).unsqueeze(0)
    return hat_weights(place, pixel) @ bilinear_matrix(padded, source=grid, step=grid / padded)


def window_places(
    parts: int, length: int, *, wanted: int, fitted: int, padded: int
) -> tuple[Tensor, Tensor]:
    """From the fitted image to the frame in parts, each of which reads a window of fixed size.

    The frame is `parts` times `length` pixels, those behind `wanted` of no use. The resize is
    bilinear without antialiasing, of the image cropped to `fitted` pixels; its weights are
    `hat_weights` of what is returned.

    Args:
        parts: How many.
        length: Pixels of the frame in a part: `wanted / parts`, rounded up (a symbol).
        wanted: Pixels of the frame (a symbol).
        fitted: Pixels of the fitted image (a symbol).
        padded: Pixels of the padded image.

    Returns:
        Places of the frame's pixels on the image, float32 [parts, length]; the image's pixels in
        every window, float32 [parts, window].
    """
    # A part spans at most `fitted / parts` pixels and touches one more at either end; another one
    # is for rounding.
    window = min(-(-padded // parts) + 3, padded)
    places = _places(parts * length, wanted=wanted, fitted=fitted).view(parts, length)
    return places, _window(places, window, last=padded)


def cell_window(places: Tensor, *, step: float, cells: int) -> Tensor:
    """Cells of a grid that a bilinear resize reads for evenly spaced places on it.

    Args:
        places: float32 [parts, window], in every part `step` apart.
        step: At most 1.
        cells: How many the grid has.

    Returns:
        float32 [parts, n], as many for every part.
    """
    most = math.ceil((places.shape[1] - 1) * step) + 2
    return _window(places, min(most, cells), last=cells)


def _window(places: Tensor, count: int, *, last: int) -> Tensor:
    """Whole numbers from below the first place of every part on, all less than `last`."""
    first = places[:, :1].floor().clamp(max=last - count)
    return first + torch.arange(count, dtype=torch.float32).unsqueeze(0)


def hat_weights(places: Tensor, pixels: Tensor) -> Tensor:
    """Weights of a bilinear resize: how much each place gets of each pixel; shapes broadcast."""
    return (1 - (places - pixels).abs()).clamp(min=0)


def _places(count: int, *, wanted: int, fitted: int) -> Tensor:
    """Where pixels of the frame lie on the fitted image: float32 [count, 1]."""
    ratio = _scalar(fitted) / _scalar(wanted)
    row = torch.arange(count, dtype=torch.float32).unsqueeze(1)
    place = (row + 0.5) * ratio - 0.5
    return torch.minimum(place.clamp(min=0), _scalar(fitted) - 1)


def bilinear_matrix(count: int, *, source: int, step: float) -> Tensor:
    """Sample `source` pixels at `count` places that are `step` apart, bilinear, edges repeated.

    Returns:
        float32 [count, source], computed in double precision.
    """
    place = (torch.arange(count, dtype=torch.float64) + 0.5) * step - 0.5
    place = place.clamp(0, source - 1).unsqueeze(1)
    pixel = torch.arange(source, dtype=torch.float64).unsqueeze(0)
    return (1 - (place - pixel).abs()).clamp(min=0).to(torch.float32)


def _scalar(value: int) -> Tensor:
    """Return float32 [1, 1] of a number that may be a symbol."""
    return torch.full((1, 1), value, dtype=torch.int64).to(torch.float32)
