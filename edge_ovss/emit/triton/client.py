"""Send an image to the Triton server that serves the bundle; write the label map as a PNG.

    python client.py street.jpg --url localhost:8000 --out street.labels.png

Needs tritonclient[http], numpy and OpenCV. `client.json` beside it has what it knows of the
bundle: names, thresholds, slots.
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


@functools.cache
def settings() -> dict[str, Any]:
    """Return what the client knows of the bundle."""
    text = Path(__file__).with_name("client.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


class ClientError(Exception):
    """What went wrong, in a sentence for the user."""


def main() -> int:
    """Run the client; 0 when the label map is written, 1 otherwise."""
    args = read_arguments()
    try:
        frame = read_frame(args.image)
        answer = ask(args.url, frame, thresholds(args.unknown), args.timeout)
        labels = answer["labels"][0].astype(settings()["labels"]["dtype"])
        write_labels(Path(args.out or f"{Path(args.image).stem}.labels.png"), labels)
    except ClientError as err:
        sys.stderr.write(f"error: {err}\n")
        return 1
    say_overflow(answer["counts"])
    say_shares(labels)
    return 0


def read_arguments() -> argparse.Namespace:
    """Return what the user asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("image", help="any image that OpenCV reads")
    parser.add_argument("--url", default="localhost:8000", help="HOST:PORT of the server's HTTP")
    parser.add_argument("--out", metavar="FILE.png", help="default IMAGE.labels.png, here")
    parser.add_argument("--timeout", type=float, default=60.0, metavar="SECONDS", help="default 60")
    parser.add_argument(
        "--unknown", type=float, metavar="T", help="one threshold for all; default the bundle's"
    )
    return parser.parse_args()


def read_frame(path: str) -> NDArray[np.uint8]:
    """Return an image as the model wants it: uint8 [1, H, W, 3], RGB.

    Raises:
        ClientError: It is no image, or has a size that the model does not take.
    """
    import cv2

    image = cv2.imread(path, cv2.IMREAD_COLOR)
    if image is None:
        message = f"'{path}' is not there, or is no image."
        raise ClientError(message)
    height, width = image.shape[:2]
    frames = settings()["frames"]
    if frames is not None:
        (low_h, low_w), (high_h, high_w) = frames
        if not (low_h <= height <= high_h and low_w <= width <= high_w):
            message = (
                f"'{path}' has {height}x{width} pixels (height x width); the engine takes "
                f"{low_h}x{low_w} to {high_h}x{high_w}."
            )
            raise ClientError(message)
    return np.ascontiguousarray(image[None, ..., ::-1], np.uint8)


def thresholds(unknown: float | None) -> NDArray[np.float32] | None:
    """Return the thresholds to send, float32 [K]; None for a graph that takes none.

    Raises:
        ClientError: One is given to such a graph.
    """
    if settings()["thresholds"] is None:
        if unknown is None:
            return None
        message = "The model takes no thresholds; leave out --unknown."
        raise ClientError(message)
    own = np.array(settings()["thresholds"], np.float32)
    return own if unknown is None else np.full_like(own, unknown)


def ask(
    url: str, frame: NDArray[np.uint8], limits: NDArray[np.float32] | None, timeout: float
) -> dict[str, NDArray[Any]]:
    """Send a frame; return the label map [1, H, W] and the counts [3].

    Raises:
        ClientError: The server cannot be reached, serves another bundle, or refuses the request.
    """
    import tritonclient.http as triton
    from tritonclient.utils import InferenceServerException

    inputs: dict[str, NDArray[Any]] = {"frame": frame}
    if limits is not None:
        inputs["thresholds"] = limits
    try:
        with triton.InferenceServerClient(
            url, connection_timeout=timeout, network_timeout=timeout
        ) as server:
            check_model(server.get_model_config(settings()["served_as"]))
            sent = [as_input(triton, name, array) for name, array in inputs.items()]
            wanted = [triton.InferRequestedOutput(name) for name in ("labels", "counts")]
            found = server.infer(settings()["served_as"], sent, outputs=wanted)
            return {name: found.as_numpy(name) for name in ("labels", "counts")}
    except (InferenceServerException, OSError, ValueError) as err:
        message = f"The server at '{url}' gave no answer: {err}"
        raise ClientError(message) from err


def as_input(triton: Any, name: str, array: NDArray[Any]) -> Any:  # noqa: ANN401 (of tritonclient)
    """Return an array as an input of a request."""
    datatype = {"uint8": "UINT8", "float32": "FP32"}[str(array.dtype)]
    made = triton.InferInput(name, list(array.shape), datatype)
    made.set_data_from_numpy(array)
    return made


def check_model(config: Mapping[str, Any]) -> None:
    """Compare what is served with the bundle that this client was made for.

    Raises:
        ClientError: It is another.
    """
    parameter = config.get("parameters", {}).get(settings()["graph_parameter"], {})
    served = parameter.get("string_value", "no edge-ovss graph")
    own = settings()
    if served != own["graph_sha256"]:
        message = (
            f"The server's model '{own['served_as']}' is of {served[:18]}; this client is of "
            f"{own['graph_sha256'][:18]} ({own['bundle']}). Emit both again."
        )
        raise ClientError(message)


def write_labels(path: Path, labels: NDArray[Any]) -> None:
    """Write a label map as a gray PNG of 8 or 16 bits.

    Raises:
        ClientError: It cannot be written.
    """
    import cv2

    try:
        path.write_bytes(cv2.imencode(".png", labels)[1].tobytes())
    except OSError as err:
        message = f"'{path}' cannot be written: {err.strerror or err}."
        raise ClientError(message) from err
    sys.stderr.write(f"wrote {path}\n")


def say_overflow(counts: NDArray[Any]) -> None:
    """Say when more categories wanted to stay than the graph has slots for."""
    slots = settings()["slots"]
    if slots is not None and any(n > room for n, room in zip(counts.tolist(), slots, strict=True)):
        sys.stderr.write(
            f"warning: {counts.tolist()} categories wanted to stay, there are {slots} slots; "
            "labels may differ from the model's. Export with more --slots.\n"
        )


def say_shares(labels: NDArray[Any]) -> None:
    """Print the classes of the image, the largest first."""
    values, counts = np.unique(labels, return_counts=True)
    for value, count in sorted(zip(values.tolist(), counts.tolist(), strict=True), key=by_count):
        is_unknown = value == settings()["labels"]["unknown"]
        name = "unknown" if is_unknown else settings()["outputs"][value]["name"]
        sys.stdout.write(f"{100 * count / labels.size:6.2f} %  {value:5d}  {name}\n")


def by_count(pair: tuple[int, int]) -> int:
    """Order pairs of a label and a count, the largest count first."""
    return -pair[1]


if __name__ == "__main__":
    raise SystemExit(main())
