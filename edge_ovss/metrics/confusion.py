"""Confusion matrices: pixel counts by true and predicted category."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ovss.errors import InputError

IGNORED = -1
"""Value of a ground truth pixel that is not counted."""

Confusion = NDArray[np.int64]


def count_confusion(truth: NDArray[Any], prediction: NDArray[Any], *, classes: int) -> Confusion:
    """Count the pixels of one image by (true category, predicted category).

    Args:
        truth: Integers [H, W], category ids in [0, classes), or `IGNORED`.
        prediction: Integers [H, W], category ids in [0, classes).
        classes: K, at least 1; above 255 is fine.

    Returns:
        int64 [K, K], rows are true, columns are predicted; without ignored pixels.

    Raises:
        InputError: The sizes differ, or an id is out of range.
    """
    require_size(truth, prediction)
    counted = truth != IGNORED
    true_ids = truth[counted].astype(np.int64)
    predicted_ids = prediction[counted].astype(np.int64)
    _check_range("label map", true_ids, classes)
    _check_range("prediction", predicted_ids, classes)
    pairs = np.bincount(true_ids * classes + predicted_ids, minlength=classes * classes)
    return pairs.reshape(classes, classes).astype(np.int64, copy=False)


def require_size(truth: NDArray[Any], prediction: NDArray[Any]) -> None:
    """Check that a label map [H, W] has the size of what is compared with it.

    Raises:
        InputError: It has not.
    """
    if truth.shape != prediction.shape:
        message = (
            f"The label map is {_size(truth)} and the prediction {_size(prediction)} "
            "(height x width); expected equal sizes."
        )
        raise InputError(
            message, hint="edge-ovss data check lists images and labels of different sizes."
        )


def pack_confusion(matrix: Confusion) -> list[list[int]]:
    """Return the nonzero entries as [true, predicted, pixels], for JSON."""
    rows, columns = np.nonzero(matrix)
    packed = np.stack([rows, columns, matrix[rows, columns]], axis=1)
    entries: list[list[int]] = packed.tolist()
    return entries


def unpack_confusion(entries: list[list[int]], *, classes: int) -> Confusion:
    """Return the matrix packed by `pack_confusion`, int64 [K, K]."""
    matrix = np.zeros((classes, classes), np.int64)
    if entries:
        rows, columns, pixels = np.asarray(entries, np.int64).T
        matrix[rows, columns] = pixels
    return matrix


def _size(array: NDArray[Any]) -> str:
    return " x ".join(str(side) for side in array.shape)


def _check_range(what: str, ids: NDArray[np.int64], classes: int) -> None:
    if ids.size and (int(ids.min()) < 0 or int(ids.max()) >= classes):
        outside = np.unique(ids[(ids < 0) | (ids >= classes)])[:5].tolist()
        message = f"The {what} has the ids {outside}; expected 0 to {classes - 1}."
        raise InputError(message, hint="Check the layout, its ignore value and the vocabulary.")
