"""Turn the image messages of ROS into frames."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ovss._optional import require
from edge_ovss._safe_text import shown
from edge_ovss.errors import PictureError
from edge_ovss.frames.images import MAX_PIXELS, decode_picture

RAW, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"

# Encoding: channels in the message, and OpenCV's conversion to RGB ("" for none).
_ENCODINGS = {
    "rgb8": (3, ""),
    "bgr8": (3, "COLOR_BGR2RGB"),
    "rgba8": (4, "COLOR_RGBA2RGB"),
    "bgra8": (4, "COLOR_BGRA2RGB"),
    "mono8": (1, "COLOR_GRAY2RGB"),
    "8uc1": (1, "COLOR_GRAY2RGB"),
    "8uc3": (3, "COLOR_BGR2RGB"),
    "bayer_rggb8": (1, "COLOR_BayerRGGB2RGB"),
    "bayer_bggr8": (1, "COLOR_BayerBGGR2RGB"),
    "bayer_gbrg8": (1, "COLOR_BayerGBRG2RGB"),
    "bayer_grbg8": (1, "COLOR_BayerGRBG2RGB"),
    "yuv422": (2, "COLOR_YUV2RGB_UYVY"),
    "uyvy": (2, "COLOR_YUV2RGB_UYVY"),
    "yuv422_yuy2": (2, "COLOR_YUV2RGB_YUY2"),
    "yuyv": (2, "COLOR_YUV2RGB_YUY2"),
}


def frame_of(message: Any, origin: str) -> NDArray[np.uint8]:  # noqa: ANN401 (a message)
    """Return the frame in an Image or CompressedImage message.

    Args:
        message: As rosbags reads it.
        origin: Where it comes from, for errors.

    Returns:
        uint8 [H, W, 3], RGB.

    Raises:
        PictureError: The encoding is unknown, the sizes contradict each other, or it is damaged.
    """
    if message.__msgtype__ == COMPRESSED:
        return decode_picture(bytes(message.data), origin)
    encoding = str(message.encoding).lower()
    if encoding not in _ENCODINGS:
        message_ = f"Image '{origin}' has the encoding '{shown(str(message.encoding))}'."
        raise PictureError(message_, hint=f"Expected one of {', '.join(sorted(_ENCODINGS))}.")
    channels, conversion = _ENCODINGS[encoding]
    pixels = _pixels(message, channels, origin)
    if not conversion:
        return np.ascontiguousarray(pixels)
    cv2 = require("cv2", extra="onnxruntime")
    try:
        frame: NDArray[np.uint8] = cv2.cvtColor(
            np.ascontiguousarray(pixels), getattr(cv2, conversion)
        )
    except cv2.error as err:
        text = f"Image '{origin}' of {pixels.shape[0]} x {pixels.shape[1]} cannot be {encoding}."
        raise PictureError(text, hint="Check the driver that recorded it.") from err
    return frame


def _pixels(message: Any, channels: int, origin: str) -> NDArray[np.uint8]:  # noqa: ANN401
    """Return uint8 [H, W] or [H, W, C], without the bytes that pad the rows."""
    height, width, step = int(message.height), int(message.width), int(message.step)
    data: NDArray[np.uint8] = np.asarray(message.data).view(np.uint8).ravel()
    fits = 0 < height * width <= MAX_PIXELS and width * channels <= step
    # The last row need not be padded.
    if not fits or data.size < step * (height - 1) + width * channels:
        text = (
            f"Image '{origin}' is damaged: {height} x {width}, rows of {step} bytes, "
            f"{data.size} bytes in all."
        )
        raise PictureError(text, hint="Check the driver that recorded it.")
    whole = data[: step * height]
    if whole.size < step * height:
        whole = np.concatenate([whole, np.zeros(step * height - whole.size, np.uint8)])
    rows = whole.reshape(height, step)[:, : width * channels]
    return rows if channels == 1 else rows.reshape(height, width, channels)
