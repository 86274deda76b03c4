"""The reference of hooks, written from the hooks themselves."""

from __future__ import annotations

import inspect
from dataclasses import fields

from tilores_core.hookspecs import HOOK_NAMES, Hooks, Spec
from tilores_core.host.roles import ROLE_OF_HOOK


def hook_reference() -> str:
    """Markdown: for every hook its exact signature, its contract, and what the built object must offer."""
    return "\n\n".join(_hook(name) for name in HOOK_NAMES)


def spec_reference() -> str:
    """Markdown: the fields that every spec has, and their contract."""
    rows = [
        f"{field.name}: {field.type}" + ("" if _is_needed(field.name) else "  # optional") for field in fields(Spec)
    ]
    return "\n".join(("```python", *rows, "```", "", inspect.cleandoc(Spec.__doc__ or "")))


def _hook(name: str) -> str:
    function, role = getattr(Hooks, name), ROLE_OF_HOOK[name]
    returns = inspect.signature(function).return_annotation
    parts = [
        f"### `{name}`",
        f"```python\n@hookimpl\ndef {name}() -> {returns}: ...\n```",
        inspect.cleandoc(function.__doc__ or ""),
        f"`{role.spec.__name__}`: {inspect.cleandoc(role.spec.__doc__ or '')}",
    ]
    if role.methods:
        parts.append(f"The object must have: {', '.join(f'`{method}`' for method in role.methods)}.")
    if role.kind:
        parts.append(f"The object must be a `{role.kind.replace(':', '.')}`.")
    return "\n\n".join(parts)


def _is_needed(name: str) -> bool:
    return inspect.signature(Spec).parameters[name].default is inspect.Parameter.empty
