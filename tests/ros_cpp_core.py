"""The core of the emitted ROS 2 node in C++, built without ROS and driven over a pipe."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest

HERE = Path(__file__).parent
INCLUDE = HERE.parent / "runtime" / "include"


@dataclass
class Process:
    """A running call_core, which is given images of one size."""

    process: subprocess.Popen[bytes]
    size: tuple[int, ...]

    @property
    def out(self) -> IO[bytes]:
        assert self.process.stdout is not None
        return self.process.stdout

    def send(self, line: str, data: bytes = b"") -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n" + data)
        self.process.stdin.flush()

    def line(self) -> str:
        return self.out.readline().decode().rstrip("\n")

    def order(self, line: str) -> str:
        self.send(line)
        return self.line()

    def pixels(self, first: str | None = None) -> dict[str, Any] | None:
        """Read the fields of an image; None where there is none."""
        words = (first or self.line()).split()
        encoding, (height, width, step, size) = words[0], map(int, words[1:])
        data = self.out.read(size)
        if encoding == "none":
            return None
        fields = {"encoding": encoding, "height": height, "width": width, "step": step}
        return {**fields, "is_bigendian": 0, "data": np.frombuffer(data, np.uint8)}

    def segment(self, data: bytes, encoding: str, step: int, now: float = 0.0) -> list[Any] | str:
        height, width = self.size
        self.send(f"image {encoding} {height} {width} {step} {len(data)} {now}", data)
        first = self.line()
        if first.startswith("error "):
            return first.removeprefix("error ")
        return [self.pixels(first), self.pixels(), self.pixels()]

    def status(self, now: float) -> tuple[int, str, dict[str, str]]:
        self.send(f"status {now}")
        level, message = int(self.line()), self.line()
        values = dict(line.rsplit("=", 1) for line in iter(self.line, "end"))
        return level, message, values


@contextmanager
def running(program: Path, bundle: Path, size: tuple[int, ...]) -> Iterator[Process]:
    command = [str(program), str(bundle), "onnxruntime"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield Process(process, size)
        process.kill()


def build(package: Path, folder: Path) -> Path:
    library = os.environ.get("EDGE_OVSS_NATIVE_LIBRARY") or pytest.skip("needs the C++ library")
    defines = [
        f"-DPACKAGE={package}",
        f"-DLIBRARY={Path(library).resolve()}",
        f"-DINCLUDE={INCLUDE}",
    ]
    commands = (
        ["cmake", "-S", str(HERE / "emit" / "ros2_core"), "-B", str(folder), *defines],
        ["cmake", "--build", str(folder)],
    )
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder / "call_core"
