"""The options that name a labeled data set, which eval, parity, data and calibrate share."""

from __future__ import annotations

import argparse
import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edge_ovss.datasets.layouts import LAYOUTS
from edge_ovss.errors import UsageError
from edge_ovss.metrics.reported import DEFAULT_PROTOCOL, PROTOCOLS

if TYPE_CHECKING:
    from edge_ovss.datasets.dataset import Dataset

RARE = ("--ignore", "--labels-start", "--expect", "--seed")
"""Options that --help leaves out in verbs that score."""

# The largest label in a 16-bit label map.
_LARGEST = 65535
_DIGITS = 5
_FASTEST = 1000


def add_data_arguments(parser: argparse.ArgumentParser, *, positional: bool = True) -> None:
    """Add the options that name a data set."""
    parser.add_argument(
        "data" if positional else "--data",
        metavar="DATA",
        help="root folder of the data set, or synthetic://street?count=4&seed=0&size=360x480",
    )
    add_layout_argument(parser)
    add_label_arguments(parser)
    parser.add_argument("--expect", type=int, metavar="N", help="fail unless it has N images")
    add_subset_arguments(parser)
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="seed of the subset (default 0)"
    )


def add_layout_argument(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Add --layout."""
    parser.add_argument(
        "--layout",
        metavar="NAME",
        help=f"{', '.join(LAYOUTS)} (edge-ovss data layouts describes them)",
    )


def add_subset_arguments(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Add the options that leave something out."""
    parser.add_argument("--limit", type=int, metavar="N", help="use a random subset of N images")
    parser.add_argument(
        "--allow-missing",
        action="store_true",
        help="ignore the pixels of categories that the vocabulary has no name for",
    )


def add_label_arguments(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Add the options that say what the numbers in label maps mean."""
    parser.add_argument("--classes", metavar="FILE", help="class names, one per line")
    parser.add_argument(
        "--ignore",
        action="append",
        metavar="N[,N]",
        help="label values that mean 'not labeled' (default those of the layout); repeatable",
    )
    parser.add_argument(
        "--labels-start",
        type=int,
        choices=(0, 1),
        help="label value of the first category; with 1, 0 means 'not labeled' "
        "(default that of the layout)",
    )


def add_protocol_argument(parser: argparse.ArgumentParser) -> None:
    """Add --protocol."""
    about = "; ".join(f"{name}: {text}" for name, text in PROTOCOLS.items())
    parser.add_argument(
        "--protocol",
        default=DEFAULT_PROTOCOL,
        metavar="NAME",
        help=f"mIoU protocol (default {DEFAULT_PROTOCOL}). {about}",
    )


def read_ignore(given: Sequence[str] | None) -> tuple[int, ...] | None:
    """Return the numbers of --ignore, each once; None where it is not given.

    Raises:
        UsageError: A label map cannot hold one of them.
    """
    if given is None:
        return None
    parts = [part.strip() for text in given for part in text.split(",")]
    wrong = [part for part in parts if not part.isdecimal() or len(part) > _DIGITS]
    wrong = wrong or [part for part in parts if int(part) > _LARGEST]
    if wrong:
        message = (
            f"--ignore has '{wrong[0]}'; expected numbers from 0 to {_LARGEST}, such as 255 "
            "or 459,65535."
        )
        raise UsageError(message)
    return tuple(dict.fromkeys(map(int, parts)))


def check_limit(limit: int | None) -> None:
    """Check --limit.

    Raises:
        UsageError: It is not positive.
    """
    if limit is not None and limit < 1:
        message = f"--limit is {limit}; expected at least 1."
        raise UsageError(message)


def check_fps(fps: float) -> float:
    """Return --fps, if it is a rate.

    Raises:
        UsageError: It is not above 0 and at most 1000.
    """
    if not 0.0 < fps <= _FASTEST:
        message = f"--fps is {fps:g}; expected frames per second, above 0 and at most {_FASTEST}."
        raise UsageError(message)
    return fps


def open_data(args: argparse.Namespace, *, counted: bool = True) -> Dataset:
    """Open the data set that the options name, counted (if `counted`) and limited.

    Raises:
        UsageError: An option is wrong.
        InputError: The data set cannot be used.
    """
    from edge_ovss.datasets.opening import open_dataset  # --help needs no numpy

    ignore = read_ignore(args.ignore)
    check_limit(args.limit)
    found = open_dataset(
        args.data,
        layout=args.layout,
        ignore=ignore,
        classes=args.classes,
        labels_start=args.labels_start,
    )
    if (fps := getattr(args, "fps", None)) is not None:
        found = replace(found, fps=check_fps(fps))
    whole = found.require_count(args.expect) if counted else found
    return whole.take(args.limit, seed=args.seed)


def file_part_of(dataset: Dataset, data: str) -> str:
    """Return the part of a file name that says which data set results belong to."""
    name = "street" if dataset.name.startswith("synthetic:") else dataset.name
    # Any folder may have a layout without a vocabulary; each gets its own results.
    return name if dataset.vocabulary is not None else f"{name}-{_place_name(data)}"


def _place_name(data: str) -> str:
    """Return a name for a folder's results, with a hash, since names of folders repeat."""
    place = Path(data).expanduser().resolve()
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", place.name)[:40]
    return f"{name}-{hashlib.sha256(os.fsencode(place)).hexdigest()[:8]}"
