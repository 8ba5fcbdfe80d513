"""Show what this machine has, what each verb needs, and what to install for it."""

from __future__ import annotations

import argparse

EXAMPLES = ("edge-ovss doctor", "edge-ovss doctor --json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add nothing: this verb has no options of its own."""
    del parser
