"""From which bundle files were made: what every one of them says."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from edge_ovss._safe_text import shown
from edge_ovss.bundle.identity import graph_hash
from edge_ovss.bundle.reader import Bundle


@dataclass(frozen=True)
class Origin:
    """A bundle, as the files that were made of it name it. No time: twice gives the same bytes.

    Attributes:
        bundle: Name of its folder, on one line.
        graph_sha256: The hash of its graph that engines and reports have too.
        vocabulary_sha256: Of its class names.
        model: Name of the model.
        precision: Name of the precision.
    """

    bundle: str
    graph_sha256: str
    vocabulary_sha256: str
    model: str
    precision: str

    @classmethod
    def of(cls, bundle: Bundle) -> Origin:
        """Return the origin of what is made of `bundle`."""
        manifest = bundle.manifest
        return cls(
            bundle=shown(bundle.path.name),
            graph_sha256=graph_hash(bundle),
            vocabulary_sha256=bundle.vocabulary.sha256,
            model=shown(manifest.model.name),
            precision=shown(manifest.precision),
        )

    @property
    def short(self) -> str:
        """The hash of the graph, short enough for the name of a file that cannot say it."""
        return self.graph_sha256[:12]

    def lines(self, what: str) -> tuple[str, ...]:
        """Return the lines for the top of a file; `what` is the action, such as "triton".

        The words have a hash of their own: those of an open bundle are not in its graph.
        """
        return (
            f"Made by edge-ovss emit {what} from the bundle '{self.bundle}'.",
            f"graph sha256: {self.graph_sha256}",
            f"words sha256: {self.vocabulary_sha256}",
        )

    def comment(self, what: str) -> str:
        """Return these lines as a comment of Python, YAML, CMake or protobuf text."""
        return "".join(f"# {line}\n" for line in self.lines(what))

    def hidden(self, what: str) -> str:
        """Return these lines as comments of Markdown, in which "--" must not occur."""
        lines = (line.replace("--", "- -") for line in self.lines(what))
        return "".join(f"<!-- {line} -->\n" for line in lines)

    def document(self) -> dict[str, object]:
        """Return the origin as a JSON object."""
        return asdict(self)
