"""Read the header of an image file: size, bit depth, number of images."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from edge_ovss.frames.image_files.jpeg_scan import read_jpeg
from edge_ovss.frames.image_files.tiff_tags import BITS, HEIGHT, SUBFILE, WIDTH, Tags, tiff_pages
from edge_ovss.frames.source_kinds import picture_format

# Flags of TIFF pages that are not images of their own: a reduced copy of another page, or a mask.
_REDUCED, _MASK = 1, 4
_MOST_FRAMES = 1_000_000
# Bytes per pixel that decoders hold besides the result.
_OWN_BYTES = {"WebP": 4, "GIF": 8, "AVIF": 8, "TIFF": 4, "JPEG 2000": 16}
_COEFFICIENTS = 6


@dataclass(frozen=True)
class PictureHeader:
    """Facts about an image, known before it is decoded.

    Attributes:
        kind: Format, such as "PNG".
        height, width: Size in pixels, as stored.
        bits: Bits per value; more than 8 are decoded to two bytes.
        frames: Number of images in the file.
        gathered: Whether the decoder of a JPEG holds all coefficients until the last scan.
    """

    kind: str
    height: int
    width: int
    bits: int = 8
    frames: int = 1
    gathered: bool = False

    @property
    def decoded_bytes(self) -> int:
        """Approximate memory needed to decode, including the result (three channels)."""
        depth = 1 if self.bits <= 8 else 2
        own = _OWN_BYTES.get(self.kind, 0) + (_COEFFICIENTS if self.gathered else 0)
        return self.height * self.width * (3 * depth + own)


def picture_header(data: bytes) -> PictureHeader | None:
    """Return the header of an image, or None where it cannot be understood.

    Args:
        data: The whole file.
    """
    kind = picture_format(data[:32])
    reader = _READERS.get(kind or "")
    return reader(data) if reader is not None else None


def png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield (kind, start, end) for the content of each PNG chunk; stop at a truncated one."""
    at = 8
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        if end + 4 > len(data):
            return
        yield data[at + 4 : at + 8], at + 8, end
        at = end + 4


def riff_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield (kind, start, end) for the content of each WebP chunk."""
    at = 12
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        yield data[at : at + 4], at + 8, min(at + 8 + size, len(data))
        at += 8 + size + size % 2


def _png(data: bytes) -> PictureHeader | None:
    if len(data) < 25:
        return None
    height, width = _big(data, 20, 4), _big(data, 16, 4)
    frames = 1
    for kind, start, _ in png_chunks(data):
        if kind == b"acTL":
            frames = max(1, _big(data, start, 4))
        if kind == b"IDAT":
            break
    return PictureHeader("PNG", height, width, data[24], frames)


def _jpeg(data: bytes) -> PictureHeader | None:
    jpeg = read_jpeg(data)
    gathered = not jpeg.at_once
    return PictureHeader("JPEG", jpeg.height, jpeg.width, gathered=gathered) if jpeg.kind else None


def _gif(data: bytes) -> PictureHeader | None:
    if len(data) < 13:
        return None
    frames = max(1, sum(1 for _ in _gif_images(data)))
    return PictureHeader("GIF", _little(data, 8, 2), _little(data, 6, 2), 8, frames)


def _gif_images(data: bytes) -> Iterator[int]:
    """Yield where each image of a GIF begins."""
    at = 13 + _color_table(data[10])
    while at < len(data) and data[at] in (0x21, 0x2C):
        if data[at] == 0x2C:
            if at + 10 > len(data):
                return
            yield at
            at += 11 + _color_table(data[at + 9])
        else:
            at += 2
        while at < len(data) and data[at]:  # sub-blocks, each with its length
            at += 1 + data[at]
        at += 1


def _color_table(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _webp(data: bytes) -> PictureHeader | None:
    height = width = 0
    frames = 0
    for kind, start, end in riff_chunks(data):
        piece = data[start : min(end, start + 16)]
        if kind == b"VP8X" and len(piece) >= 10:
            width, height = 1 + _little(piece, 4, 3), 1 + _little(piece, 7, 3)
        elif kind == b"ANMF":
            frames += 1
        elif kind == b"VP8 " and not height and len(piece) >= 10:
            width, height = _little(piece, 6, 2) & 0x3FFF, _little(piece, 8, 2) & 0x3FFF
        elif kind == b"VP8L" and not height and len(piece) >= 5:
            size = _little(piece, 1, 4)
            width, height = 1 + (size & 0x3FFF), 1 + (size >> 14 & 0x3FFF)
    return PictureHeader("WebP", height, width, 8, max(1, frames)) if height else None


def _tiff(data: bytes) -> PictureHeader | None:
    pages = list(tiff_pages(data))
    if not pages or HEIGHT not in pages[0] or WIDTH not in pages[0]:
        return None
    frames = max(1, sum(1 for page in pages if _is_page(page)))
    return PictureHeader("TIFF", pages[0][HEIGHT], pages[0][WIDTH], pages[0].get(BITS, 1), frames)


def _is_page(page: Tags) -> bool:
    return not page.get(SUBFILE, 0) & (_REDUCED | _MASK) and HEIGHT in page


def _bmp(data: bytes) -> PictureHeader | None:
    if _little(data, 14, 4) == 12:  # the first version
        return PictureHeader("BMP", _little(data, 20, 2), _little(data, 18, 2))
    height = int.from_bytes(data[22:26], "little", signed=True)  # negative: from the top
    return PictureHeader("BMP", abs(height), _little(data, 18, 4))


def _pnm(data: bytes) -> PictureHeader | None:
    head = re.sub(rb"#[^\n]*\n", b"\n", data[:4096])
    if head[:2] == b"P7":
        found = dict(re.findall(rb"(WIDTH|HEIGHT|MAXVAL)\s+(\d{1,9})", head))
        if not {b"WIDTH", b"HEIGHT"} <= found.keys():
            return None
        bits = int(found.get(b"MAXVAL", b"255")).bit_length()
        return PictureHeader("PNM", int(found[b"HEIGHT"]), int(found[b"WIDTH"]), bits)
    numbers = re.match(rb"P.\s+(\d{1,9})\s+(\d{1,9})(?:\s+(\d{1,9}))?", head)
    if numbers is None:
        return None
    width, height, most = (int(text or b"1") for text in numbers.groups())
    bits = 1 if head[1:2] in b"14" else most.bit_length()
    return PictureHeader("PNM", height, width, bits)


def _jpeg_2000(data: bytes) -> PictureHeader | None:
    at = data.find(b"\xff\x4f\xff\x51")
    if at < 0 or len(data) < at + 43:
        return None
    right, bottom, left, top = (_big(data, at + 8 + 4 * i, 4) for i in range(4))
    bits = (data[at + 42] & 0x7F) + 1
    return PictureHeader("JPEG 2000", max(0, bottom - top), max(0, right - left), bits)


def _sun(data: bytes) -> PictureHeader | None:
    return PictureHeader("Sun raster", _big(data, 8, 4), _big(data, 4, 4))


def _avif(data: bytes) -> PictureHeader | None:
    sizes = [
        (_big(data, found.end() + 8, 4), _big(data, found.end() + 4, 4))
        for found in re.finditer(b"ispe", data[: 1 << 16])
    ]
    if not sizes:
        return None
    # A sequence has this brand; its track states its length, as in a video.
    frames = _sequence_length(data) if data[8:12] == b"avis" else 1
    return PictureHeader("AVIF", *max(sizes), frames=frames)


def _sequence_length(data: bytes) -> int:
    counts = [_big(data, found.end() + 8, 4) for found in re.finditer(b"stsz", data[: 1 << 20])]
    return max([2, *(count for count in counts if count < _MOST_FRAMES)])


def _big(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "big")


def _little(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "little")


_READERS: Mapping[str, Callable[[bytes], PictureHeader | None]] = {
    "PNG": _png,
    "JPEG": _jpeg,
    "GIF": _gif,
    "WebP": _webp,
    "TIFF": _tiff,
    "BMP": _bmp,
    "PNM": _pnm,
    "JPEG 2000": _jpeg_2000,
    "Sun raster": _sun,
    "AVIF": _avif,
}
