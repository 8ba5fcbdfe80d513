"""Does a bundle still give, on this machine, the answer that its exporter saw?"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from edge_ovss.bundle.reader import Bundle
from edge_ovss.bundle.reference import Comparison, Reference, Rule, judge, rule_for
from edge_ovss.errors import ParityError, UsageError
from edge_ovss.runtime.segmenter import Segmenter


@dataclass(frozen=True)
class SelftestReport:
    """The comparison of one answer with the reference answer.

    Attributes:
        backend: What gave the answer.
        agreement: Share of equal labels among those that count, 0 to 1.
        min_agreement: What is asked for (`edge_ovss.bundle.tolerances`).
        same_alive: Whether the surviving categories are the same set.
        same_counts: Whether the counts are equal.
        survivors_count: Whether the two before must be true, as they must in FP32.
        infer_ms: Milliseconds of this first inference.
        undecided: Share of pixels whose label does not count, because a right backend may give
            another; None where the bundle does not say which.
    """

    backend: str
    agreement: float
    min_agreement: float
    same_alive: bool
    same_counts: bool
    survivors_count: bool
    infer_ms: float
    undecided: float | None = None

    @property
    def passed(self) -> bool:
        """Whether the bundle may be used on this backend."""
        rule = Rule(self.min_agreement, self.survivors_count)
        return bool(Comparison(rule, self.agreement, self.same_alive, self.same_counts))

    def __bool__(self) -> bool:
        return self.passed

    def to_json(self) -> dict[str, object]:
        """Return the report as a JSON object."""
        return {**asdict(self), "passed": self.passed}


def read_reference(bundle: Bundle) -> Reference:
    """Read the reference frame and answer of a bundle; the same as `Bundle.reference`."""
    return bundle.reference()


def run_selftest(segmenter: Segmenter) -> SelftestReport:
    """Segment the reference frame and compare.

    Raises:
        UsageError: The words were changed since the bundle was opened.
        BundleError: The reference cannot be read.
        ArtifactError: The graph fails.
    """
    if not segmenter.bundle.has_words_of_disk:
        message = "The words were changed; the bundle's reference answer is of those before."
        raise UsageError(message, hint="Open it again, or change them on the disk: edge-ovss words")
    reference = segmenter.bundle.reference()
    result = segmenter.segment(reference.frame)
    rule = rule_for(segmenter.bundle.manifest, segmenter.precision)
    verdict = judge(result, reference, rule, segmenter.thresholds())
    return SelftestReport(
        backend=segmenter.backend,
        agreement=verdict.agreement,
        min_agreement=rule.min_agreement,
        same_alive=verdict.same_alive,
        same_counts=verdict.same_counts,
        survivors_count=verdict.survivors_count,
        infer_ms=round(result.timings["infer"], 3),
        undecided=verdict.undecided,
    )


def require_selftest(folder: Path, *, backend: str = "onnxruntime") -> None:
    """Open a new bundle with every check and run its selftest, before anybody uses it.

    Raises:
        ArtifactError: It cannot be opened, or its graph fails.
        ParityError: Its graph does not give the reference answer.
    """
    with Segmenter.open(folder, backend=backend) as segmenter:
        report = run_selftest(segmenter)
    if not report:
        message = (
            f"The new bundle fails its own selftest on {backend}: {100 * report.agreement:.4f} % "
            f"of the labels that count are equal, at least {100 * report.min_agreement:.4f} % "
            f"expected; categories {'equal' if report.same_alive else 'different'}, counts "
            f"{'equal' if report.same_counts else 'different'}. Nothing was written."
        )
        raise ParityError(message, hint="Please report this with the model and the vocabulary.")
