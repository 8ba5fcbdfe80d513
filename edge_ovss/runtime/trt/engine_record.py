"""`build.json`, the record beside every plan: its key, its build, and the check of its output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from edge_ovss._files import write_json
from edge_ovss._strict_parsing import read_json
from edge_ovss._version import VERSION
from edge_ovss.bundle.json_fields import Fields
from edge_ovss.errors import ArtifactError, BundleError
from edge_ovss.runtime.trt.engine_key import EngineKey

SCHEMA = 1
PLAN = "model.plan"
RECORD = "build.json"
_LARGEST = 4 << 20


@dataclass(frozen=True)
class Proof:
    """The check of an engine's output.

    Attributes:
        state: "passed", or "not run" with the reason.
        against: What the output was compared with: "reference" or "onnxruntime".
        agreement: Share of equal labels among those that count, 0 to 1; None if not run.
        reason: Why it was not run.
        undecided: Share of labels that do not count; None if unknown.
    """

    state: str
    against: str | None = None
    agreement: float | None = None
    reason: str | None = None
    undecided: float | None = None


@dataclass(frozen=True)
class BuildRecord:
    """The content of `build.json`.

    Attributes:
        key: Key of the engine.
        sha256: Hash of the plan.
        size: Size of the plan in bytes.
        created: Build time in ISO 8601, UTC.
        labels: dtype of the labels in the engine; "int32" if the graph has uint16.
        layers: Number of layers by the type of their first output, before fusion.
        seconds: Duration of "parse" and "build".
        warnings: The first few warnings of the builder.
        proof: Whether the output was checked.
        precision: Precision of the bundle, such as "fp16".
        inspection: The layers after fusion, by precision; {} if unknown.
        timings: Name of the timing cache, its sha256 "before" and "after"; {} if none was used.
    """

    key: EngineKey
    sha256: str
    size: int
    created: str
    labels: str
    layers: Mapping[str, object]
    seconds: Mapping[str, object]
    warnings: tuple[str, ...]
    proof: Proof
    precision: str
    inspection: Mapping[str, object] = field(default_factory=dict)
    timings: Mapping[str, object] = field(default_factory=dict)
    document: Mapping[str, object] = field(default_factory=dict, compare=False)

    def to_json(self) -> dict[str, object]:
        """Return the record as a JSON object."""
        return {
            "schema": SCHEMA,
            "tool": {"name": "edge-ovss", "version": VERSION},
            "created": self.created,
            "digest": self.key.digest,
            "key": self.key.to_json(),
            "plan": {"file": PLAN, "sha256": self.sha256, "bytes": self.size},
            "precision": self.precision,
            "labels": self.labels,
            "layers": dict(self.layers),
            "inspection": dict(self.inspection),
            "timings": dict(self.timings),
            "seconds": dict(self.seconds),
            "warnings": list(self.warnings),
            "proof": asdict(self.proof),
        }

    def write(self, folder: Path) -> None:
        """Write `build.json` into `folder`, whole or not at all."""
        write_json(folder / RECORD, self.to_json())


def read_record(folder: Path) -> BuildRecord:
    """Read `build.json` of an engine's folder.

    Raises:
        ArtifactError: It is missing, damaged, or was written by a newer version.
    """
    path = folder / RECORD
    try:
        return _from_json(read_json(path, limit=_LARGEST))
    except OSError as err:
        raise _damaged(folder, err.strerror or str(err)) from err
    except (BundleError, ValueError) as err:
        text = err.message if isinstance(err, BundleError) else str(err)
        raise _damaged(folder, text.replace("manifest.json", RECORD)) from err


def _from_json(document: object) -> BuildRecord:
    if not isinstance(document, dict):
        message = "it is not a JSON object"
        raise ValueError(message)  # noqa: TRY004 (format)
    fields = Fields(document)
    if (schema := fields.integer("schema")) != SCHEMA:
        message = f"it has schema {schema}, this version reads {SCHEMA}"
        raise ValueError(message)
    plan, proof = fields.section("plan"), fields.section("proof")
    return BuildRecord(
        key=EngineKey.from_json(fields.section("key")),
        sha256=plan.text("sha256"),
        size=plan.integer("bytes"),
        created=fields.text("created"),
        labels=fields.choice("labels", ("uint8", "uint16", "int32")),
        layers=fields.mapping("layers"),
        seconds=fields.mapping("seconds"),
        warnings=fields.texts("warnings"),
        proof=Proof(
            state=proof.choice("state", ("passed", "not run")),
            against=proof.optional_text("against"),
            agreement=proof.optional_number("agreement"),
            reason=proof.optional_text("reason"),
            undecided=proof.optional_number("undecided"),
        ),
        precision=fields.text("precision"),
        inspection=fields.mapping("inspection") if "inspection" in document else {},
        timings=fields.mapping("timings") if "timings" in document else {},
        document=document,
    )


def _damaged(folder: Path, why: str) -> ArtifactError:
    message = f"Engine '{folder.name}' has no usable {RECORD}: {why.rstrip('.')}."
    return ArtifactError(message, hint="Remove its folder and build it again.")
