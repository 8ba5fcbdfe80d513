"""Every recipe is a valid call of the export verb."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_ovss.cli import build_parser
from edge_ovss.errors import InputError, UsageError
from edge_ovss.vocabulary import Vocabulary

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "export" / "recipes").glob("*.toml"))


@pytest.fixture(scope="module")
def program() -> Callable[[Path], list[str]]:
    spec = importlib.util.spec_from_file_location("recipe", ROOT / "export" / "from_recipe.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError(ROOT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    read: Callable[[Path], list[str]] = module.read_recipe
    return read


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_recipe_is_understood(program: Callable[[Path], list[str]], recipe: Path) -> None:
    args = build_parser().parse_args(["export", *program(recipe)])
    assert len(Vocabulary.load(args.vocab)) > 0
    assert args.model is None or args.model.startswith(("sed-", "san-"))


def test_there_are_recipes() -> None:
    assert len(RECIPES) >= 3


def test_bad_recipes_are_refused(program: Callable[[Path], list[str]], tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text("vocab = [1, 2]")
    with pytest.raises(UsageError, match="vocab"):
        program(path)
    path.write_text("vocab = ")
    with pytest.raises(InputError):
        program(path)
    with pytest.raises(InputError):
        program(tmp_path / "missing.toml")
