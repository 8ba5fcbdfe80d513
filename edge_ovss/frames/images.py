"""Read images as frames, and write label maps, with OpenCV."""

from __future__ import annotations

import hashlib
import os
import shlex
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ovss._files import write_bytes
from edge_ovss._optional import require
from edge_ovss._safe_text import shown
from edge_ovss.errors import PictureError
from edge_ovss.frames.image_files.headers import PictureHeader, picture_header
from edge_ovss.frames.image_files.integrity import picture_fault
from edge_ovss.frames.image_files.jpeg_scan import ENDS_EARLY, jpeg_probe, read_jpeg, with_end
from edge_ovss.frames.image_files.orientation import picture_orientation, turn_upright
from edge_ovss.frames.image_files.quiet_decoders import quiet_decoders
from edge_ovss.frames.source_kinds import NEVER_READ, picture_format
from edge_ovss.frames.source_notes import warn_of_picture

Labels = NDArray[np.uint8] | NDArray[np.uint16]
"""A label map, [H, W]."""

MAX_PIXELS = 1 << 28
MAX_BYTES = 1 << 30
MAX_DECODED = 1 << 30
"""The most bytes that decoding an image may take."""

_LARGE = 1 << 24
_BAND = 256
_NARROW = (8, 10, 12, 14)
_FORMATS = "Expected an image such as PNG, JPEG, BMP, TIFF or WebP."


def read_picture(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """Read an image as a frame.

    Gray is repeated to three channels, a palette is looked up, alpha is dropped (not blended), 16
    bits per channel become 8 by rounding v / 257, and the EXIF orientation is applied. The result
    does not depend on the version of OpenCV.

    Args:
        path: A file; its format is detected by content, not by suffix.

    Returns:
        uint8 [H, W, 3], RGB, C-contiguous.

    Raises:
        PictureError: The file does not exist, is empty, not an image, damaged, too large, or
            holds more than one image.
        MissingDependencyError: OpenCV is not installed.

    Warns:
        PictureWarning: Its values use so little of the 16 bits that it is nearly black.
    """
    file = Path(path)
    return _frame_of(file, _read_file(file))


def decode_picture(data: bytes, origin: str) -> NDArray[np.uint8]:
    """Return the frame in the bytes of an image file, as `read_picture` does.

    Args:
        data: The bytes, such as those of a message.
        origin: Where they come from, for errors.

    Raises:
        PictureError: As for `read_picture`.
    """
    if not 0 < len(data) <= MAX_BYTES:
        message = f"Image '{shown(origin)}' has {len(data)} bytes; expected 1 to {MAX_BYTES}."
        raise PictureError(message)
    return _frame_of(Path(origin), data)


def _frame_of(file: Path, data: bytes) -> NDArray[np.uint8]:
    kind = picture_format(data[:32])
    header = picture_header(data)
    if header is not None:
        _check_header(file, header)
    fault = picture_fault(data)
    if fault is not None:
        raise _unreadable(file, fault)
    try:
        if kind == "JPEG":
            # libjpeg writes its complaints to standard error; what matters of them is raised.
            with quiet_decoders():
                image = _decode_jpeg(file, data)
        else:
            image = _decode(file, data)
        frame = turn_upright(_to_frame(file, image), picture_orientation(data, kind))
        return np.ascontiguousarray(frame)
    except MemoryError as err:
        message = f"Image '{shown(file)}' does not fit in memory."
        raise PictureError(message, hint="Scale it down, or cut it into tiles.") from err


def write_label_map(path: str | os.PathLike[str], labels: Labels) -> None:
    """Write a label map as a PNG with one channel of 8 bits (uint8) or 16 bits (uint16).

    Raises:
        PictureError: `labels` is not uint8 or uint16 [H, W].
        OutputError: It cannot be written; what was at `path` is then unchanged.
    """
    if labels.ndim != 2 or labels.dtype not in (np.uint8, np.uint16):
        message = f"Label map has {labels.dtype} {labels.shape}; expected uint8 or uint16 [H, W]."
        raise PictureError(message)
    _write_png(Path(path), labels)


def write_picture(path: str | os.PathLike[str], frame: NDArray[np.uint8]) -> None:
    """Write uint8 [H, W, 3] RGB as a PNG.

    Raises:
        OutputError: It cannot be written; what was at `path` is then unchanged.
    """
    _write_png(Path(path), np.ascontiguousarray(frame[:, :, ::-1]))


def picture_hash(image: NDArray[np.uint8]) -> str:
    """Return the sha256 of the size and the pixels of a frame, uint8 [H, W, 3]."""
    digest = hashlib.sha256(f"{image.shape}".encode())
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()


def _read_file(file: Path) -> bytes:
    try:
        if not file.exists():
            message = f"Image '{shown(file)}' does not exist."
            raise PictureError(message, hint="Check the path.")
        if not file.is_file():
            message = f"'{shown(file)}' is not a file; expected an image."
            raise PictureError(message, hint="Give one image of the folder.")
        size = file.stat().st_size
        if size > MAX_BYTES:
            message = f"Image '{shown(file)}' has {size} bytes; expected at most {MAX_BYTES}."
            raise PictureError(message, hint="Give a smaller image.")
        data = file.read_bytes()
    except (OSError, ValueError) as err:  # ValueError: a NUL in the name
        reason = (err.strerror if isinstance(err, OSError) else None) or str(err)
        message = f"Image '{shown(file)}' cannot be read: {reason}."
        raise PictureError(message, hint="Check its permissions and the disk.") from err
    if not data:
        message = f"Image '{shown(file)}' is empty (0 bytes)."
        raise PictureError(message, hint="Copy it again.")
    return data


def _unreadable(file: Path, why: str) -> PictureError:
    return PictureError(f"Image '{shown(file)}' cannot be read: {why}.", hint="Copy it again.")


def _check_header(file: Path, header: PictureHeader) -> None:
    """Check the header of a file before decoding it."""
    _check_size(file, header.height, header.width)
    if header.decoded_bytes > MAX_DECODED:
        message = (
            f"Image '{shown(file)}' is {header.height} x {header.width} with {header.bits} bits, "
            f"which takes {header.decoded_bytes / 2**30:.1f} GiB to decode; expected at most "
            f"{MAX_DECODED / 2**30:.1f}."
        )
        raise PictureError(message, hint="Scale it down, or cut it into tiles.")
    if header.frames > 1:
        message = f"'{shown(file)}' holds {header.frames} images or pages; expected one."
        name = shlex.quote(shown(file.name))
        hint = f"Split it into files of one image, such as with: magick {name} image-%04d.png"
        raise PictureError(message, hint=hint)


def _check_size(file: Path, height: int, width: int) -> None:
    if height * width > MAX_PIXELS:
        message = (
            f"Image '{shown(file)}' is {height} x {width}, {height * width} pixels; "
            f"expected at most {MAX_PIXELS}."
        )
        raise PictureError(message, hint="Scale it down, or cut it into tiles.")


def _decode_jpeg(file: Path, data: bytes) -> NDArray[Any]:
    """Decode a JPEG as `_decode` does, and reject one whose coded data end too early."""
    cv2 = require("cv2", extra="onnxruntime")
    jpeg = read_jpeg(data)
    whole, probe = with_end(data, jpeg), jpeg_probe(data, jpeg)
    # A large image is compared at half size, so that it is not held in memory twice.
    large = jpeg.height * jpeg.width > _LARGE
    flags = cv2.IMREAD_REDUCED_COLOR_2 if large else cv2.IMREAD_COLOR
    image = _decode(file, whole, flags)
    if probe is not None:
        other = _imdecode(probe, flags)
        if other is None or not np.array_equal(image, other):
            raise _unreadable(file, ENDS_EARLY)
    return _decode(file, whole, cv2.IMREAD_COLOR) if large else image


def _decode(file: Path, data: bytes, flags: int | None = None) -> NDArray[Any]:
    """Return BGR [H, W, 3] in the file's own bit depth, not rotated."""
    cv2 = require("cv2", extra="onnxruntime")
    try:
        image = _imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH if flags is None else flags)
    except cv2.error as err:
        lines = str(err).strip().splitlines()
        reason = lines[0] if lines else "no reason given"
        message = f"Image '{shown(file)}' cannot be decoded: {reason}"
        raise PictureError(message, hint=_FORMATS) from err
    if image is None or image.size == 0:
        raise _not_decoded(file, picture_format(data[:32]), cv2.__version__)
    return image


def _imdecode(data: bytes, flags: int) -> NDArray[Any] | None:
    cv2 = require("cv2", extra="onnxruntime")
    flags |= cv2.IMREAD_IGNORE_ORIENTATION
    image: NDArray[Any] | None = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    return image


def _not_decoded(file: Path, kind: str | None, version: str) -> PictureError:
    if kind is None:
        return PictureError(f"'{shown(file)}' is not an image, or is damaged.", hint=_FORMATS)
    if kind in NEVER_READ:
        message = f"'{shown(file)}' is an image of the format {kind}, which is not read."
    else:
        message = f"'{shown(file)}' is a damaged {kind} image, or OpenCV {version} cannot read it."
    return PictureError(message, hint="Convert it to PNG or JPEG, or copy it again.")


def _to_frame(file: Path, image: NDArray[Any]) -> NDArray[np.uint8]:
    _check_size(file, image.shape[0], image.shape[1])
    if image.dtype == np.uint16:
        _warn_if_dark(file, int(image.max()))
        image = _to_eight_bits(image)
    if image.dtype != np.uint8:
        message = f"Image '{shown(file)}' has values of type {image.dtype}; expected 8 or 16 bits."
        raise PictureError(message, hint="Convert it to 8 bits; its white level is unknown.")
    cv2 = require("cv2", extra="onnxruntime")
    frame: NDArray[np.uint8] = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    return frame


def _to_eight_bits(image: NDArray[np.uint16]) -> NDArray[np.uint8]:
    narrow = np.empty(image.shape, np.uint8)
    for top in range(0, len(image), _BAND):
        band = image[top : top + _BAND].astype(np.uint32)
        # 65535 / 257 is exactly 255, and 128 is half of 257 rounded down: this rounds to nearest.
        narrow[top : top + _BAND] = (band + 128) // 257
    return narrow


def _warn_if_dark(file: Path, highest: int) -> None:
    """Warn of 8-, 10-, 12- or 14-bit values in a 16-bit file, which would be nearly black."""
    bits = next((bits for bits in _NARROW if 0 < highest < 1 << bits), None)
    if bits is not None:
        warn_of_picture(
            f"image '{shown(file)}' has 16 bits, but no value above {highest}, so it is read "
            f"as nearly black. If they are values of {bits} bits, multiply them by "
            f"{1 << 16 - bits} first, or save the image with 8 bits"
        )


def _write_png(path: Path, array: NDArray[Any]) -> None:
    cv2 = require("cv2", extra="onnxruntime")
    done, data = cv2.imencode(".png", array)
    if not done:
        message = f"An image of shape {array.shape} cannot be encoded as PNG."
        raise PictureError(message)
    write_bytes(path, data.tobytes())
