"""`edge-ovss` on the pretended Orin of the fixture `trt`, as a program: python -m fake_builder."""

from __future__ import annotations

import sys
from dataclasses import replace

import fake_cuda
import fake_trt

from edge_ovss.cli import main
from edge_ovss.runtime.cuda import driver
from edge_ovss.runtime.trt.variants import FLAVORS

if __name__ == "__main__":
    cuda = fake_cuda.FakeCuda()
    fake_trt.CUDA = cuda
    driver._load = lambda: cuda
    FLAVORS["tensorrt"] = replace(FLAVORS["tensorrt"], modules=("fake_trt",))
    sys.exit(main(sys.argv[1:]))
