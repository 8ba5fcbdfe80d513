"""Import optional packages where they are used, or say which extra installs them."""

from __future__ import annotations

import importlib
import os
from importlib.util import find_spec
from types import ModuleType

from edge_ovss.errors import MissingDependencyError, UsageError

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"", "0", "false", "no", "off"}


def require(module: str, *, extra: str) -> ModuleType:
    """Import `module`, or raise an error that names the extra that installs it.

    Args:
        module: Dotted module name, such as "onnxruntime".
        extra: Name of the extra of this package that installs it, such as "onnxruntime".

    Raises:
        MissingDependencyError: The module, or a module that it needs, cannot be imported.
    """
    try:
        return importlib.import_module(module)
    except Exception as err:  # a broken package may raise anything: OSError, AttributeError, ...
        # The loader's message about a missing library has no full stop.
        reason = str(err).rstrip(".") or type(err).__name__
        message = f"This step needs the package '{module}', which cannot be imported: {reason}."
        hint = f'pip install "edge-ovss[{extra}]"'
        if is_installed(module) and not isinstance(err, ModuleNotFoundError):
            # This imports importlib.metadata, which would slow down every start.
            from edge_ovss._import_faults import remedy

            hint = remedy(module, str(err))
        raise MissingDependencyError(message, hint=hint) from err


def is_installed(module: str) -> bool:
    """Return whether a module, or the package that it is in, can be found; it is not imported."""
    try:
        return find_spec(module.partition(".")[0]) is not None
    except (ImportError, ValueError):
        return False


def env_flag(name: str, *, default: bool = False) -> bool:
    """Read a boolean environment variable; "0", "false", "no", "off" and "" mean false.

    Raises:
        UsageError: The variable has any other value that does not mean true.
    """
    value = os.environ.get(name)
    if value is None:
        return default
    if value.strip().lower() in _TRUE | _FALSE:
        return value.strip().lower() in _TRUE
    message = f"Environment variable {name} is '{value}'; expected 1 or 0."
    raise UsageError(message)
