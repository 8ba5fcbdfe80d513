"""Write overlays as a video whose frames have their real times."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from edge_ovss._files import make_folder, output_error
from edge_ovss._optional import require
from edge_ovss._safe_text import shown
from edge_ovss.errors import OutputError, UsageError
from edge_ovss.live.sinks import LiveFrame, close_all
from edge_ovss.live.views.painting import Painter

_KINDS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}
_CODECS = ("libx264", "libopenh264", "mpeg4")
_BASE = Fraction(1, 1000)  # the least exact of the formats takes no finer clock
_RATE = 30  # what players show as the usual rate; each frame has its own time
_BITS_PER_PIXEL = 4
_GROUP = 60
_UNTIMED_S = 0.1
# A file in pieces can be played up to the last one, also after a power cut.
_PIECES = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}


class VideoFile:
    """A video of the overlays: variable rate, each frame at the time it was read.

    Frames of recordings are at their own times; images without times are 0.1 s apart. Each of
    several cameras has a file of its own: NAME-2.mp4 is the second one's.

    Args:
        path: The file; its suffix decides about the container. Written from the first frame on, and
            can be played up to the last two seconds even if the process is killed.
        painter: Draws the overlays.
        live: Whether the time of a frame is when it was read, not its time in a recording.

    Raises:
        UsageError: The suffix is unknown.
        OutputError: The folder cannot be made.
        MissingDependencyError: PyAV is not installed.
    """

    def __init__(self, path: Path, painter: Painter, *, live: bool) -> None:
        if path.suffix.lower() not in _KINDS:
            message = f"--video is '{shown(path)}'; expected a name that ends in .mp4."
            raise UsageError(message, hint=f"Containers: {', '.join(_KINDS)}.")
        self._av = require("av", extra="video")
        make_folder(path.parent)
        self._path, self._painter = path, painter
        self._live, self._start_s = live, 0.0
        self._tracks: dict[str, _Track] = {}

    @property
    def written(self) -> list[Path]:
        """The files that have at least one frame."""
        return [track.path for track in self._tracks.values()]

    def show(self, frame: LiveFrame) -> None:
        """Encode a frame.

        Raises:
            OutputError: It cannot be written; what is before it stays, and can be played.
        """
        picture = self._painter.paint(frame)
        place = self._painter.place(frame)
        track = self._tracks.get(place)
        if track is None:
            number = len(self._tracks) + 1
            path = self._path if number == 1 else _numbered(self._path, number)
            track = self._tracks[place] = _Track(self._av, path, picture.shape)
        track.add(picture, self._time(frame))

    def _time(self, frame: LiveFrame) -> float:
        if not self._live:
            return _UNTIMED_S * frame.index if frame.time_s is None else frame.time_s
        if not frame.index:
            self._start_s = frame.captured_s
        return frame.captured_s - self._start_s

    def close(self) -> None:
        """Finish the files.

        Raises:
            OutputError: The last frames of one cannot be written.
        """
        close_all(self._tracks.values())


class _Disk:
    """A file that remembers why it could not be written: encoders say only that it failed."""

    def __init__(self, path: Path) -> None:
        self.error: OSError | None = None
        self._file: IO[bytes] = path.open("wb", buffering=0)

    def write(self, data: bytes) -> int:
        view = memoryview(data)
        try:
            while view:
                view = view[self._file.write(view) or 0 :]
        except OSError as err:
            self.error = self.error or err
            raise
        return len(data)

    def close(self) -> None:
        self._file.close()


class _Track:
    """One file."""

    def __init__(self, av: Any, path: Path, shape: tuple[int, ...]) -> None:  # noqa: ANN401 (PyAV)
        self.path = path
        self._av, self._last = av, -1
        try:
            self._disk = _Disk(path)
        except OSError as err:
            raise output_error(path, err) from err
        kind = _KINDS[path.suffix.lower()]
        pieces = {} if kind == "matroska" else _PIECES
        self._file = av.open(self._disk, "w", format=kind, options=pieces)
        self._stream = _stream(av, self._file, shape)

    def add(self, picture: NDArray[np.uint8], time_s: float) -> None:
        """Encode a picture at a time in seconds from the first."""
        # Times must grow, and two frames can be nearer than the clock of the video can tell.
        self._last = max(self._last + 1, round(time_s / _BASE))
        image = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        image.pts, image.time_base = self._last, _BASE
        self._write(image)

    def close(self) -> None:
        """Write what the encoder still holds, and the end of the file."""
        if self._disk.error is None:
            self._write(None)
        try:
            self._file.close()
            self._disk.close()
        except Exception as err:
            if self._disk.error is None:
                raise self._fault(err) from err

    def _write(self, image: object) -> None:
        try:
            for packet in self._stream.encode(image):
                self._file.mux(packet)
        except Exception as err:  # PyAV raises its own errors, and ours through C
            raise self._fault(err) from err

    def _fault(self, err: Exception) -> OutputError:
        reason = self._disk.error or (err if isinstance(err, OSError) else OSError(str(err)))
        found = output_error(self.path, reason)
        hint = f"{found.hint} What was written before can be played."
        return OutputError(found.message, hint=hint)


def _stream(av: Any, file: Any, shape: tuple[int, ...]) -> Any:  # noqa: ANN401 (PyAV)
    """Add a video of pictures [h, w, 3] to a file, in the best format that PyAV has."""
    codec = next(name for name in _CODECS if name in av.codecs_available)
    stream = file.add_stream(codec, rate=_RATE)
    stream.height, stream.width = shape[:2]
    stream.pix_fmt = "yuv420p"
    stream.codec_context.time_base = _BASE
    stream.codec_context.gop_size = _GROUP
    # The other cores are for the network.
    stream.codec_context.thread_count = 1
    if codec == "libx264":
        # Frames that refer to later ones would move all times by some frames.
        stream.options = {"preset": "veryfast", "crf": "20", "bf": "0"}
    else:
        stream.bit_rate = _BITS_PER_PIXEL * shape[0] * shape[1]
    return stream


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.stem}-{number}{path.suffix}")
