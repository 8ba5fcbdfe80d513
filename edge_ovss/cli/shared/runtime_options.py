"""The options of verbs that run a bundle: which backend, how many threads."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from edge_ovss.errors import UsageError
from edge_ovss.runtime.backends import AUTO, backend_names
from edge_ovss.runtime.overflow import KEEP

if TYPE_CHECKING:
    from edge_ovss.bundle.reader import Bundle
    from edge_ovss.runtime.segmenter import Segmenter


def add_bundle_argument(parser: argparse.ArgumentParser) -> None:
    """Add the bundle."""
    parser.add_argument("bundle", metavar="BUNDLE", help="folder that edge-ovss export wrote")


def add_runtime_arguments(parser: argparse.ArgumentParser, *, several: bool = False) -> None:
    """Add --backend and --threads.

    Args:
        parser: Of the verb.
        several: Whether --backend takes a list.
    """
    names = ", ".join(name for name in backend_names() if name != AUTO)
    parser.add_argument(
        "--backend",
        default=AUTO,
        metavar="NAME[,NAME]" if several else "NAME",
        help=f"{names}; default auto: the first that is installed",
    )
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default all cores)")


def add_auto_build(parser: argparse.ArgumentParser) -> None:
    """Add --auto-build."""
    parser.add_argument(
        "--auto-build",
        action="store_true",
        help="build an engine when there is none for a frame's size (tensorrt, tensorrt-rtx)",
    )


UNKNOWN_FORMS = (
    "off; auto, the threshold that was measured for the model; one threshold for all, such as 0.2; "
    "or a file of eval --tune-unknown"
)
"""What --unknown takes, for help."""


def add_unknown_argument(parser: argparse.ArgumentParser) -> None:
    """Add --unknown."""
    parser.add_argument(
        "--unknown",
        metavar="off|auto|T|FILE",
        help=f"when a pixel is labeled unknown: {UNKNOWN_FORMS} (default as the bundle says)",
    )


def check_threads(args: argparse.Namespace) -> None:
    """Check --threads.

    Raises:
        UsageError: It is not positive.
    """
    if args.threads is not None and args.threads < 1:
        message = f"--threads is {args.threads}; expected at least 1."
        raise UsageError(message)


def open_segmenter(
    args: argparse.Namespace,
    bundle: Bundle | str | Path | None = None,
    *,
    backend: str | None = None,
    on_overflow: str = KEEP,
) -> Segmenter:
    """Open the bundle that the options name.

    Args:
        args: With `bundle`, `backend`, `threads` and perhaps `unknown` and `auto_build`.
        bundle: Instead of `args.bundle`.
        backend: Instead of `args.backend`.
        on_overflow: As in `Segmenter.open`.
    """
    from edge_ovss.runtime.segmenter import Segmenter  # --help needs no numpy

    check_threads(args)
    return Segmenter.open(
        bundle or args.bundle,
        backend=backend or args.backend,
        threads=args.threads,
        on_overflow=on_overflow,
        unknown=getattr(args, "unknown", None),
        auto_build=getattr(args, "auto_build", False),
    )
