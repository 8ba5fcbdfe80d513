"""Text in C++ sources that are written."""

from __future__ import annotations

from collections.abc import Iterable


def quoted(text: str) -> str:
    """Return a string literal; what is not plain ASCII in octal, three digits each."""
    plain = (
        chr(byte) if 0x20 <= byte < 0x7F and byte not in b'"\\?' else f"\\{byte:03o}"
        for byte in text.encode("utf-8")
    )
    return f'"{"".join(plain)}"'


def comment(lines: Iterable[str]) -> str:
    """Return lines as comments."""
    return "".join(f"// {line}\n" for line in lines)
