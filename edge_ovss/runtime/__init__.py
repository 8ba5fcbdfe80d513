"""Run a bundle: frames in, label maps out. Needs numpy and the library of one backend."""

from edge_ovss.bundle.reader import Bundle
from edge_ovss.runtime.result import Result
from edge_ovss.runtime.segmenter import Segmenter

__all__ = ["Bundle", "Result", "Segmenter"]
