"""Between two models: weights that lie on the line from one checkpoint to a later one.

    python training/blend.py --first training/runs/before.pt --second training/runs/thin/last.pt \
        --share 0.75 --out training/runs/blend.pt

A short stage that changes what counts forgets a little of what was learnt before it. The blend of
before and after has both (Wortsman et al., Robust fine-tuning of zero-shot models, 2022).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from network import Trainee, load_start
from torch import Tensor


def blend(first: dict[str, Tensor], second: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    """The weights at `share` of the way from the first to the second; both have the same names."""
    return {
        name: torch.lerp(value, second[name], share) if value.is_floating_point() else second[name]
        for name, value in first.items()
    }


def _weights(path: Path) -> dict[str, Tensor]:
    trainee = Trainee()
    load_start(trainee, path)
    return trainee.state_dict()


def main() -> None:
    """Read both, write the blend."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--first", type=Path, required=True, help="checkpoint or weights file")
    parser.add_argument("--second", type=Path, required=True, help="one trained on from the first")
    parser.add_argument("--share", type=float, default=0.75, help="of the second, 0 to 1")
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    args = parser.parse_args()
    torch.save(
        {"average": blend(_weights(args.first), _weights(args.second), args.share)}, args.out
    )


if __name__ == "__main__":
    main()
