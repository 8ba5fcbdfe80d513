"""Last step: write a checkpoint's averaged weights as the safetensors file of the package.

    python training/export_weights.py --checkpoint training/runs/c/last.pt

Names are the published ones, values are float16; the plain head stays behind.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from evaluate import load_checkpoint
from safetensors.torch import save_file

from edge_ovss.models.registry import EMBEDDED
from edge_ovss.models.sed import PREFIX

_MOST_BYTES = 20_000_000


def main() -> None:
    """Write the file and say how large it is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=EMBEDDED / "sed_tiny.safetensors")
    args = parser.parse_args()
    model = load_checkpoint(args.checkpoint)
    tensors = {
        f"{PREFIX}{name}": value.to(torch.float16).contiguous()
        for name, value in model.state_dict().items()
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, args.out, metadata={"model": "sed-tiny", "license": "Apache-2.0"})
    size = args.out.stat().st_size
    print(f"{args.out}: {len(tensors)} tensors, {size} bytes")
    if size > _MOST_BYTES:
        message = f"The file has {size} bytes; expected at most {_MOST_BYTES}."
        raise SystemExit(message)


if __name__ == "__main__":
    main()
