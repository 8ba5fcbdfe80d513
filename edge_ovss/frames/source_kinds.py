"""Decide what a source or a file is: image, video, camera, list or folder. Only this module does.

A known suffix decides, unless it says video and the first bytes are those of an image, or the other
way round. Files without a known suffix are identified by their first bytes. Nothing is decoded.
"""

from __future__ import annotations

import stat
from enum import Enum
from pathlib import Path

from edge_ovss._addresses import shown_address
from edge_ovss._safe_text import shown
from edge_ovss.errors import UsageError

STREET = "synthetic"
BAG = "bag"
STREAMS = ("rtsp", "rtsps", "rtmp", "http", "https", "udp", "rtp", "srt", "tcp")
_CAMERAS = ("v4l2", "csi", "gst")
# Live sources; not all of these can be opened, but none is a recording.
_LIVE = frozenset({*STREAMS, *_CAMERAS, "camera"})

_PICTURES = (
    "png apng jpg jpeg jpe jfif jfi jif pjpeg pjp mpo bmp dib tif tiff webp gif avif avifs "
    "jp2 jpx j2k j2c ppm pgm pbm pnm pam sr ras"
)
_UNREAD = (
    "heic heif hif jxl jxr wdp psd psb xcf svg svgz eps ico cur icns tga dds qoi pcx fits dcm exr "
    "hdr pic pfm raw dng cr2 cr3 crw nef nrw arw srf sr2 orf raf rw2 pef srw x3f 3fr iiq"
)
_VIDEOS = (
    "mp4 m4v mov qt avi mkv webm mpg mpeg mpe m1v m2v ts mts m2ts m2t vob wmv asf flv f4v 3gp 3g2 "
    "ogv mxf divx mjpeg mjpg h264 h265 hevc 264 265 ivf y4m dav amv rm rmvb insv lrv"
)


def _suffixes(kinds: str) -> frozenset[str]:
    return frozenset(f".{kind}" for kind in kinds.split())


PICTURE_SUFFIXES = _suffixes(_PICTURES)
"""Suffixes of images that OpenCV may be able to read."""
UNREAD_SUFFIXES = _suffixes(_UNREAD)
"""Suffixes of images that are never read: other formats, and values without a known white level."""
VIDEO_SUFFIXES = _suffixes(_VIDEOS)
LIST_SUFFIXES = frozenset({".txt", ".lst"})
BAG_SUFFIXES = _suffixes("mcap db3 bag")
"""Suffixes of recordings of ROS."""

_BAG_METADATA = "metadata.yaml"
_BAG_MARK = b"rosbag2_bagfile_information"

# JPEG images in a row, without a container: the first bytes are those of one image.
_PICTURES_IN_A_ROW = frozenset({".mjpeg", ".mjpg"})

_HEAD = 32
_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"\0\0\0\x0cjP  \r\n", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\x59\xa6\x6a\x95", "Sun raster"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL \r\n", "JPEG XL"),
    (b"8BPS", "PSD"),
    (b"#?RADIANCE", "HDR"),
    (b"#?RGBE", "HDR"),
    (b"\x76\x2f\x31\x01", "OpenEXR"),
)
_BRANDS = {
    b"avif": "AVIF",
    b"avis": "AVIF",
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1"), "HEIC"),
}
NEVER_READ = frozenset({"HEIC", "JPEG XL", "PSD", "HDR", "OpenEXR"})
"""Formats, as named by `picture_format`, that are never read."""


class SourceKind(Enum):
    """The kinds of source that `source_kind` and `file_kind` tell apart."""

    STREET = "drawn streets"
    STREAM = "stream"
    CAMERA = "camera"
    FOLDER = "folder"
    LIST = "list of images"
    BAG = "recording of ROS"
    GLOB = "pattern of file names"
    PICTURE = "image"
    VIDEO = "video"
    UNREAD = "image of a format that is not read"
    OTHER = "file of a kind that neither its suffix nor its first bytes tell"
    MISSING = "nothing that is there"
    UNKNOWN_SCHEME = "address of an unknown kind"


def source_kind(spec: str) -> SourceKind:
    """Return the kind of `SOURCE` on the command line, or of the argument of `open_source`.

    Args:
        spec: A path (with ~ for the home folder), or an address with "://".
    """
    scheme, separator, _ = spec.partition("://")
    scheme = scheme.lower()
    if separator:
        return _kind_of_scheme(scheme)
    is_pattern = is_glob(spec)
    if spec.startswith("/dev/video") and not is_pattern:
        return SourceKind.CAMERA
    kind = file_kind(Path(spec).expanduser())
    if kind is SourceKind.MISSING and is_number(spec):
        return SourceKind.CAMERA
    return SourceKind.GLOB if kind is SourceKind.MISSING and is_pattern else kind


def _kind_of_scheme(scheme: str) -> SourceKind:
    if scheme == STREET:
        return SourceKind.STREET
    if scheme == BAG:
        return SourceKind.BAG
    if scheme in _CAMERAS:
        return SourceKind.CAMERA
    return SourceKind.STREAM if scheme in STREAMS else SourceKind.UNKNOWN_SCHEME


def is_number(spec: str) -> bool:
    """Whether a source is a camera by number, such as "0"; an existing file of that name wins."""
    return spec.isascii() and spec.isdecimal() and len(spec) <= 3


def is_glob(spec: str) -> bool:
    """Whether a source has the wildcards of a shell: *, ? or [."""
    return any(sign in spec for sign in "*?[")


def is_live(spec: str) -> bool:
    """Whether a source is a camera or a stream."""
    return source_kind(spec) in (SourceKind.CAMERA, SourceKind.STREAM)


def refuse_live(spec: str, wanted: str) -> None:
    """Check that a source ends and can be read twice.

    Args:
        spec: The source as the user gave it.
        wanted: What is to be read from it, for the message, such as "Images".

    Raises:
        UsageError: It is a camera, a stream, or a recording of ROS.
    """
    if source_kind(spec) is SourceKind.BAG:
        message = f"{wanted} cannot be read from '{shown(spec)}', a recording of ROS."
        hint = "Write its images first: edge-ovss run BUNDLE RECORDING --save image --out FOLDER."
        raise UsageError(message, hint=hint)
    scheme, colon, _ = spec.partition(":")
    live = bool(colon) and scheme.lower() in _LIVE
    if live or source_kind(spec) is SourceKind.CAMERA:
        source = shown(shown_address(spec))
        message = f"{wanted} cannot be read from '{source}', which is live and never ends."
        hint = "Record a video or a folder of images first, and give its path."
        raise UsageError(message, hint=hint)


def file_kind(path: Path) -> SourceKind:
    """Return the kind of what is at `path`; links are followed, a character device is a camera."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):  # missing, name too long, or a NUL in the name
        return SourceKind.MISSING
    if stat.S_ISDIR(mode):
        return SourceKind.BAG if _is_bag(path) else SourceKind.FOLDER
    if stat.S_ISCHR(mode):
        return SourceKind.CAMERA
    suffix = path.suffix.lower()
    for suffixes, kind in (
        (PICTURE_SUFFIXES, SourceKind.PICTURE),
        (VIDEO_SUFFIXES, SourceKind.VIDEO),
        (LIST_SUFFIXES, SourceKind.LIST),
        (BAG_SUFFIXES, SourceKind.BAG),
        (UNREAD_SUFFIXES, SourceKind.UNREAD),
    ):
        if suffix in suffixes:
            return _corrected(kind, path) if stat.S_ISREG(mode) else kind
    # A pipe must not be read: its data could not be read again.
    return _kind_by_content(path) if stat.S_ISREG(mode) else SourceKind.OTHER


def _is_bag(folder: Path) -> bool:
    """Whether a folder was written by `ros2 bag record`."""
    try:
        with (folder / _BAG_METADATA).open("rb") as file:
            return _BAG_MARK in file.read(1024)
    except OSError:
        return False


def is_hidden(path: Path) -> bool:
    """Whether a name begins with a dot, such as the `._x.jpg` of macOS, which is not an image."""
    return path.name.startswith(".")


def is_picture(path: Path) -> bool:
    """Whether an entry of a folder is one of its images.

    A broken link counts if its name says so, so that the failure to read it is reported.
    """
    if is_hidden(path):
        return False
    if path.suffix.lower() in PICTURE_SUFFIXES:
        return not path.is_dir()
    return file_kind(path) is SourceKind.PICTURE


def picture_format(head: bytes) -> str | None:
    """Return the format of an image by its first bytes (32 suffice), such as "PNG", or None."""
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12])
    # Two letters may begin any text, so require more: reserved zeros, or a number.
    if head[:2] == b"BM" and head[6:10] == bytes(4) and len(head) >= 26:
        return "BMP"
    if head[:1] == b"P" and head[1:2] in b"1234567Ff" and head[2:3].isspace():
        return "PNM" if head[3:4].isdigit() or head[3:4] == b"#" or head[1:2] == b"7" else None
    return None


def looks_like_video(head: bytes) -> bool:
    """Whether the first bytes (32 suffice) are those of a common video container."""
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide"):
        return picture_format(head) is None
    if head[:4] == b"RIFF":
        return head[8:12] == b"AVI "
    return head.startswith(
        (b"\x1a\x45\xdf\xa3", b"FLV\x01", b"OggS", b"\x30\x26\xb2\x75", b"\0\0\x01\xba", b"DKIF")
    )


def _corrected(kind: SourceKind, path: Path) -> SourceKind:
    """Return the kind of a file, corrected where its first bytes contradict its suffix."""
    if kind not in (SourceKind.PICTURE, SourceKind.VIDEO):
        return kind
    if path.suffix.lower() in _PICTURES_IN_A_ROW:
        return kind
    seen = _kind_by_content(path)
    return seen if seen in (SourceKind.PICTURE, SourceKind.VIDEO) else kind


def _kind_by_content(path: Path) -> SourceKind:
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return SourceKind.OTHER
    name = picture_format(head)
    if name is not None:
        return SourceKind.UNREAD if name in NEVER_READ else SourceKind.PICTURE
    return SourceKind.VIDEO if looks_like_video(head) else SourceKind.OTHER
