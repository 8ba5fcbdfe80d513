"""The blocks that a calibration kept in float, to be used again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from edge_ovss._strict_parsing import read_json
from edge_ovss.errors import InputError

SCHEMA = 1
RECIPE_FILE = "reports/recipe.json"


@dataclass(frozen=True)
class Recipe:
    """Which blocks stay in float.

    Attributes:
        model: Name of the model it was found for.
        excluded: Names of blocks that stay in float.
        method: How ranges were chosen, for people.
        loss: mIoU points that it cost, for people.
    """

    model: str
    excluded: tuple[str, ...]
    method: str = ""
    loss: float | None = None

    @classmethod
    def load(cls, path: str | Path) -> Recipe:
        """Read a recipe from its file or from a calibrated bundle.

        Raises:
            InputError: It does not exist, or is not a recipe.
        """
        file = Path(path).expanduser()
        file = file / RECIPE_FILE if file.is_dir() else file
        try:
            document = read_json(file)
            _check_kind(document["schema"], document["kind"])
            excluded = tuple(str(name) for name in document["excluded"])
            return cls(str(document["model"]), excluded, str(document.get("method", "")))
        except OSError as err:
            message = f"Recipe '{file}' cannot be read: {err.strerror or err}."
            raise InputError(message, hint="A calibration writes reports/recipe.json.") from err
        except (ValueError, KeyError, TypeError) as err:
            message = f"'{file}' is not a recipe: {err}."
            raise InputError(message, hint="A calibration writes reports/recipe.json.") from err

    def require_blocks(self, blocks: Iterable[str]) -> None:
        """Check that the blocks exist in a graph.

        Raises:
            InputError: Some do not.
        """
        missing = sorted(set(self.excluded) - set(blocks))
        if missing:
            message = f"The recipe for '{self.model}' names blocks that the graph lacks: {missing}."
            raise InputError(message, hint="A recipe fits the same model only, with any weights.")

    def to_json(self) -> dict[str, object]:
        """Return the recipe as a JSON object."""
        return {"schema": SCHEMA, "kind": "recipe", **asdict(self)}


def _check_kind(schema: object, kind: object) -> None:
    if schema != SCHEMA or kind != "recipe":
        message = f"it is a '{kind}' of schema {schema}, expected a 'recipe' of schema {SCHEMA}"
        raise ValueError(message)
