"""Run `edge-ovss parity`."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from edge_ovss._files import make_folder, write_bytes, write_json
from edge_ovss._machine import machine_facts, package_versions
from edge_ovss.bundle.reader import Bundle
from edge_ovss.cli.shared.console import Console, next_step
from edge_ovss.cli.shared.data_options import open_data
from edge_ovss.cli.shared.runtime_options import open_segmenter
from edge_ovss.datasets.alignment import align
from edge_ovss.datasets.dataset import Dataset
from edge_ovss.datasets.opening import open_pictures
from edge_ovss.errors import InputError, ParityError, UsageError
from edge_ovss.evaluation.gates import (
    check_gates,
    license_value,
    parse_gates,
    require_known,
    require_passed,
)
from edge_ovss.metrics.miou import require_protocol
from edge_ovss.metrics.reported import PARITY
from edge_ovss.parity.bisection import bisect
from edge_ovss.parity.compare import compare_backends
from edge_ovss.parity.examples import write_examples
from edge_ovss.parity.results import BackendParity, numbers_of_all, render_table
from edge_ovss.parity.torch_reference import TorchReference

DEFAULT_DATA = "synthetic://street?count=4&seed=1000000"


def run(args: argparse.Namespace, console: Console) -> int:
    """Compare, trace failures, print, and check the gates."""
    gates = parse_gates(args.gate)
    require_known(gates, PARITY)
    require_protocol(args.protocol)
    dataset = _data(args, console)
    for remark in dataset.remarks:
        console.warn(remark)
    with ExitStack() as stack:
        parities = _compare_all(args, console, dataset, stack)
    bundles = [Bundle.open(path, verify=False) for path in args.bundles]
    verdicts = check_gates(gates, {**numbers_of_all(parities), **license_value(*bundles)})
    document = _document(args, dataset, parities) | {"gates": [v.to_json() for v in verdicts]}
    out = _write(args, parities, document)
    lines = [_text(parity) for parity in parities] + [verdict.text for verdict in verdicts]
    console.result("\n".join([*lines, f"files  {out}"]), document)
    _require_parity(parities)
    require_passed(verdicts)
    console.note(next_step("report", args.bundles[0]))
    return 0


def _data(args: argparse.Namespace, console: Console) -> Dataset:
    """Open the images to compare on; sets `args.pictures` if they have no labels."""
    if args.data is not None and args.pictures is not None:
        message = "--data and --pictures are both given; expected one of them."
        raise UsageError(message)
    if args.data is not None:
        return open_data(args)
    if args.pictures is None:
        args.data = DEFAULT_DATA
        dataset = open_data(args)
        unknown = _unknown_words(args, dataset)
        if not unknown:
            return dataset
        console.note(
            f"{unknown}; the street images are used without their labels, so the mIoU is against "
            "torch's own labels: --data and --layout name labeled images"
        )
        args.data, args.pictures = None, DEFAULT_DATA
    return open_pictures(args.pictures).take(args.limit, seed=args.seed)


def _unknown_words(args: argparse.Namespace, dataset: Dataset) -> str:
    """Return why the labels of a data set do not fit the bundles; "" if they do."""
    for path in args.bundles:
        words = Bundle.open(path, verify=False).vocabulary
        try:
            align(dataset, words, allow_missing=args.allow_missing)
        except InputError as err:
            return err.message.removesuffix(".")
    return ""


def _compare_all(
    args: argparse.Namespace, console: Console, dataset: Dataset, stack: ExitStack
) -> list[BackendParity]:
    found: list[BackendParity] = []
    for path in args.bundles:
        bundle = Bundle.open(path)
        segmenters = [
            stack.enter_context(open_segmenter(args, bundle, backend=name))
            for name in args.backend.split(",")
        ]
        console.note(f"rebuilding {bundle.manifest.model.name} in torch for {bundle.path.name}")
        reference = TorchReference.open(
            bundle, checkpoint=args.checkpoint, embeddings=args.embeddings, threads=args.threads
        )
        compared = compare_backends(
            reference,
            segmenters,
            dataset,
            labeled=args.pictures is None,
            protocol=args.protocol,
            allow_missing=args.allow_missing,
            keep=args.examples,
            progress=console.progress,
        )
        found += [_traced(args, console, bundle, reference, parity) for parity in compared]
        for segmenter in segmenters:
            segmenter.close()
    return found


def _traced(
    args: argparse.Namespace,
    console: Console,
    bundle: Bundle,
    reference: TorchReference,
    parity: BackendParity,
) -> BackendParity:
    """Add to a failure where the graph first differs, on the worst frame."""
    if parity or args.no_bisect or not parity.examples:
        return parity
    console.note(f"{parity.bundle} on {parity.backend} differs from torch; searching where")
    frame, limit = parity.examples[0].frame, parity.tolerance.block_error
    return replace(parity, bisection=bisect(bundle, reference, frame, limit=limit))


def _document(
    args: argparse.Namespace, dataset: Dataset, parities: list[BackendParity]
) -> dict[str, Any]:
    return {
        "kind": "parity",
        "against": "torch",
        "dataset": dataset.name,
        "subset": dataset.subset,
        "labelled": args.pictures is None,
        "results": [parity.to_json() for parity in parities],
        "environment": {"machine": machine_facts(), "packages": package_versions()},
    }


def _write(
    args: argparse.Namespace, parities: list[BackendParity], document: dict[str, Any]
) -> Path:
    first = Bundle.open(args.bundles[0], verify=False)
    out = make_folder(Path(args.out) if args.out else first.path / "reports" / "parity")
    document["examples"] = [
        example
        for parity in parities
        for example in write_examples(out, parity, first.vocabulary.palette)
    ]
    write_json(out / "parity.json", document)
    write_bytes(out / "parity.md", render_table(parities).encode("utf-8"))
    return out


def _require_parity(parities: list[BackendParity]) -> None:
    failed = [parity for parity in parities if not parity]
    if not failed:
        return
    parts = []
    for parity in failed:
        where = f"; {parity.bisection.text}" if parity.bisection else ""
        parts.append(f"{parity.bundle} on {parity.backend}: {'; '.join(parity.failures())}{where}")
    message = f"{len(failed)} of {len(parities)} differ from torch. {'. '.join(parts)}."
    raise ParityError(message, hint="Export the bundle again; report it if that does not help.")


def _text(parity: BackendParity) -> str:
    """Return the numbers of one comparison as text."""
    numbers, change = parity.numbers(), parity.change()
    truth = parity.scope if parity.truth else " (against torch's own labels)"
    lines = [
        f"{parity.bundle} {parity.precision} on {parity.backend}: "
        f"{'agrees with torch' if parity else 'DIFFERS FROM TORCH'}, {len(parity.frames)} frames",
        f"  labels   {numbers['label_agreement']:.6f} equal, "
        f"{numbers['label_agreement_min']:.6f} in the worst frame "
        f"(expected {parity.tolerance.label_agreement})",
        f"  ties     {100 * parity.undecided:.4f} % of the pixels are undecided in torch and left "
        f"out{_tied(parity)}",
    ]
    if numbers["score_error"] is not None:
        lines.append(
            f"  scores   relative L2 {numbers['score_error']:.3g} "
            f"(expected {parity.tolerance.score_error}), max {numbers['score_max_error']:.3g}, "
            f"cosine {numbers['score_cosine']:.6f}"
        )
    else:
        lines.append("  scores   not compared: export with --outputs labels,scores")
    lines.append(
        f"  mIoU     {numbers['miou_torch']:.3f} -> {numbers['miou']:.3f}{truth}, change "
        f"{change.points:+.3f} [{change.low:+.3f}, {change.high:+.3f}] at {change.level:.0%}"
    )
    if parity.left_out:
        lines.append(f"  left out {', '.join(name.strip() for name in parity.left_out)}")
    lines.append(f"  worst category loses {numbers['worst_category_drop']:.3f} points of IoU")
    lines += [f"  FAILED   {failure}" for failure in parity.failures()]
    if parity.bisection:
        lines.append(f"  WHERE    {parity.bisection.text}")
    return "\n".join(lines)


def _tied(parity: BackendParity) -> str:
    """Return the two categories that torch most often cannot tell apart."""
    ties = parity.ties()
    return f", most often '{ties[0].outputs[0]}' or '{ties[0].outputs[1]}'" if ties else ""
