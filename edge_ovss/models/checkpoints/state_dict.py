"""Find the tensors of one model in a checkpoint: wrappers, averaged weights, prefixes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from torch import Tensor

from edge_ovss._progress import Note
from edge_ovss._safe_text import shown
from edge_ovss.errors import CheckpointError
from edge_ovss.models.checkpoints.numpy_stand_ins import tensor_of

# Names that training programs give to weights, common ones first, and to averaged weights.
_WEIGHTS = (
    "model",
    "state_dict",
    "model_state_dict",
    "model_state",
    "params",
    "weights",
    "module",
    "net",
    "network",
)
_AVERAGED = (
    "model_ema",
    "ema",
    "ema_model",
    "ema_state_dict",
    "state_dict_ema",
    "model_ema_state_dict",
    "params_ema",
    "averaged_model",
)
# Names that torch puts into the middle of others (compiling, sharding, checkpointing).
_INSERTED = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")
# Counters beside an averaged model, which belong to no layer.
_COUNTERS = ("n_averaged", "num_updates", "decay")
_DEEPEST = 4
_LONGEST = 120
_EXPECTED = 'Expected {"model": state dict}, {"state_dict": state dict} or a state dict.'


def state_dict_of(document: object, path: Path, note: Note) -> dict[str, Tensor]:
    """Return the tensors of the model in the document of a checkpoint.

    Args:
        document: Content of the file: a state dict, or dictionaries around one.
        path: For messages.
        note: Called with what was chosen, where there was a choice.

    Raises:
        CheckpointError: It contains no tensors, or several state dicts without a usual name.
    """
    place: list[str] = []
    while isinstance(document, Mapping) and len(place) < _DEEPEST:
        key = _step(document, path, note)
        if key is None:
            break
        place.append(key)
        document = document[key]
    if not isinstance(document, Mapping):
        message = f"Checkpoint '{path}' contains a {type(document).__name__}, not a state dict."
        raise CheckpointError(message, hint=_EXPECTED)
    tensors = _tensors(document)
    if not tensors:
        where = f" under '{'.'.join(place)}'" if place else ""
        shown = some(document) or "none"
        message = f"Checkpoint '{path}' contains no tensors{where}; its keys there are: {shown}."
        raise CheckpointError(message, hint=_EXPECTED)
    return tensors


def _tensors(document: Mapping[object, object]) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for key, value in document.items():
        tensor = value if isinstance(value, Tensor) else tensor_of(value)
        if tensor is not None:
            found[str(key)] = tensor
    return found


def _step(document: Mapping[object, object], path: Path, note: Note) -> str | None:
    """Return the key under which to look further; None where this is the state dict."""
    usual = [key for key in _WEIGHTS if isinstance(document.get(key), Mapping)]
    averaged = [key for key in _AVERAGED if isinstance(document.get(key), Mapping)]
    if usual:
        for other in (*usual[1:], *averaged):
            note(f"Checkpoint '{path}' contains '{usual[0]}' and '{other}'; '{usual[0]}' is used.")
        return usual[0]
    if averaged:
        note(f"Checkpoint '{path}' contains averaged weights; '{averaged[0]}' is used.")
        return averaged[0]
    return None if _tensors(document) else _only_step(document, path, note)


def _only_step(document: Mapping[object, object], path: Path, note: Note) -> str | None:
    inner = {
        key: value
        for key, value in document.items()
        if isinstance(key, str) and isinstance(value, Mapping) and _tensors(value)
    }
    if len(inner) > 1:
        message = f"Checkpoint '{path}' contains several state dicts: {some(inner)}."
        raise CheckpointError(message, hint=f"Save one of them alone. {_EXPECTED}")
    for key in inner:
        note(f"Checkpoint '{path}': the tensors under '{key}' are taken.")
        return key
    return None


def without_wrapping(
    tensors: Mapping[str, Tensor], expected: Iterable[str], prefix: str, note: Note
) -> dict[str, Tensor]:
    """Drop what wrappers (DataParallel, torch.compile, Lightning) put in front of every name.

    Args:
        tensors: A state dict.
        expected: The model's own names.
        prefix: Prefix of the published names, before the model's own.
        note: Called with what was dropped.

    Returns:
        The same tensors; names that fit without dropping anything stay.
    """
    own = set(expected)
    values = _without_inserted(tensors, own, note)
    known = own | {prefix + name for name in own}
    best, most = "", sum(name in known for name in values)
    for front in _shared_fronts(values):
        fitting = sum(name[len(front) :] in known for name in values if name.startswith(front))
        if fitting > most:
            best, most = front, fitting
    if not best:
        return values
    note(f"Every name in the checkpoint begins with '{best}', which is left out.")
    return {name[len(best) :]: value for name, value in values.items() if name.startswith(best)}


def _without_inserted(
    tensors: Mapping[str, Tensor], own: set[str], note: Note
) -> dict[str, Tensor]:
    values = dict(tensors)
    for part in _INSERTED:
        if any(part in name for name in values) and not any(part in name for name in own):
            renamed = {name.replace(part, ""): value for name, value in values.items()}
            if len(renamed) == len(values):
                note(f"Names in the checkpoint contain '{part}', which is dropped.")
                values = renamed
    return values


def _shared_fronts(tensors: Mapping[str, Tensor]) -> list[str]:
    """Return the beginnings that all names share, each ending with a dot, the shortest first."""
    names = [name for name in tensors if name not in _COUNTERS]
    if not names:
        return []
    parts = min(names).split(".")[:-1]
    last = max(names).split(".")
    shared = 0
    while shared < min(len(parts), len(last) - 1) and parts[shared] == last[shared]:
        shared += 1
    return [".".join(parts[:count]) + "." for count in range(1, shared + 1)]


def some(keys: Iterable[object], most: int = 5) -> str:
    """Return the first keys for a message, and how many more there are."""
    listed = list(keys)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(printable(key) for key in listed[:most]) + more


def printable(key: object) -> str:
    """Return a name of a file's making so that it can neither flood nor steer a terminal."""
    text = str(key)
    return shown(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…")
