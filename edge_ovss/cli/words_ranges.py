"""What INT8 ranges cost that were measured with other words: `edge-ovss words --float`."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_ovss._leftovers import scratch_folder
from edge_ovss._progress import Note
from edge_ovss.bundle.reader import UNLISTED_FOLDERS, Bundle
from edge_ovss.bundle.unknown import OFF
from edge_ovss.bundle.words.section import require_open
from edge_ovss.errors import UsageError
from edge_ovss.frames.sources import open_source
from edge_ovss.runtime.rewording import change_words
from edge_ovss.runtime.segmenter import Segmenter
from edge_ovss.words.encoding import WordSource


@dataclass(frozen=True)
class RangesReport:
    """Labels of an INT8 bundle with new words, compared on images.

    Attributes:
        images: How many.
        kept: Share of the labels that are those of float32, with the ranges of the bundle.
        fresh: The same with ranges that were measured anew, with the new words.
        between: Share of the labels that are the same with both ranges.
    """

    images: int
    kept: float
    fresh: float
    between: float

    @property
    def text(self) -> str:
        """One line for people."""
        return (
            f"INT8 with these words: {100 * self.kept:.2f} % of the labels of {self.images} images "
            f"are those of float32, {100 * self.fresh:.2f} % with ranges measured anew; "
            f"{100 * self.between:.2f} % are the same with both"
        )

    def to_json(self) -> dict[str, float]:
        """Return the figures by name."""
        return {
            "images": self.images,
            "equal_to_float32": self.kept,
            "equal_to_float32_calibrated_anew": self.fresh,
            "equal_to_calibrated_anew": self.between,
        }


def require_float(bundle: Bundle, float32: Bundle) -> None:
    """Check that an open INT8 bundle can be compared with a float32 bundle.

    Raises:
        UsageError: It is not INT8, or the other is not its float32 bundle.
    """
    if bundle.manifest.precision != "int8":
        message = f"--float is given, but '{bundle.path.name}' is in {bundle.manifest.precision}."
        raise UsageError(message, hint="It is for an INT8 bundle; leave it out.")
    info = require_open(float32.path.name, float32.manifest.open)
    own = require_open(bundle.path.name, bundle.manifest.open)
    pairs = (
        ("precision", float32.manifest.precision, "fp32"),
        ("model", float32.manifest.model.name, bundle.manifest.model.name),
        ("weights", float32.manifest.text_tower, bundle.manifest.text_tower),
        ("templates", float32.manifest.templates.sha256, bundle.manifest.templates.sha256),
        ("places", info.places, own.places),
    )
    for what, given, expected in pairs:
        if given != expected:
            message = f"'{float32.path.name}' has other {what} than '{bundle.path.name}' was of."
            hint = "Give the float32 bundle that edge-ovss calibrate was given."
            raise UsageError(message, hint=hint)


def compare_ranges(
    bundle: Bundle, float32: Bundle, source: str, *, threads: int | None, note: Note
) -> RangesReport:
    """Calibrate once more with the words of a bundle, and compare labels; nothing of it stays.

    Args:
        bundle: An open INT8 bundle with new words.
        float32: The float32 bundle that it was made from, with any words.
        source: Images, which are calibrated on and compared on.
        threads: CPU threads; None for all cores.
        note: Called with one line at every step.

    Raises:
        UsageError: The two do not belong together.
        MissingDependencyError: What calibrates is not installed.
        InputError: The images cannot be used.
    """
    require_float(bundle, float32)
    # The packages that calibrate are needed by those alone who ask for this.
    from edge_ovss.calibration.calibrate import calibrate_bundle
    from edge_ovss.calibration.options import CalibrateOptions

    facts = bundle.manifest.precision_facts
    target = facts.target or "tensorrt"
    options = CalibrateOptions("int8", source, target=target, base=facts.base)
    with scratch_folder() as folder:
        exact = _with_words(float32, bundle, folder / "float32.ovss")
        note("calibrating with the new words, to compare")
        fresh = calibrate_bundle(exact, folder / "fresh.ovss", options, note=note).bundle
        return _compare(exact, bundle, fresh, source, threads)


def _with_words(float32: Bundle, bundle: Bundle, place: Path) -> Bundle:
    """Return a copy of a bundle with the words of another."""
    shutil.copytree(float32.path, place, ignore=shutil.ignore_patterns(*UNLISTED_FOLDERS))
    return change_words(place, lambda _: bundle.vocabulary, WordSource(known=bundle)).bundle


def _compare(
    exact: Bundle, kept: Bundle, fresh: Bundle, source: str, threads: int | None
) -> RangesReport:
    shares = []
    with (
        Segmenter.open(exact, backend="onnxruntime", threads=threads, unknown=OFF) as first,
        Segmenter.open(kept, backend="onnxruntime", threads=threads, unknown=OFF) as second,
        Segmenter.open(fresh, backend="onnxruntime", threads=threads, unknown=OFF) as third,
    ):
        for frame in open_source(source):
            a, b, c = (each.segment(frame.image).labels for each in (first, second, third))
            shares.append([(a == b).mean(), (a == c).mean(), (b == c).mean()])
    means = np.mean(shares, axis=0)
    return RangesReport(len(shares), *(float(mean) for mean in means))
