"""Parts of a message that not every model can take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tilores_core.contracts import ModelInfo
from tilores_core.errors import UnsupportedParameterError

_KINDS = {"image_url": "images", "image": "images", "input_image": "images"}


def check_parts(info: ModelInfo, messages: Iterable[Mapping[str, Any]]) -> None:
    """Raises `UnsupportedParameterError`, whose `param` is the part's path, for an image that the model cannot see.

    Call it before a model is asked, with what is known of it; a model of which nothing is known takes everything.
    """
    if info.vision:
        return
    for number, message in enumerate(messages):
        content = message.get("content")
        for position, part in enumerate(content) if isinstance(content, list) else ():
            what = _KINDS.get(part.get("type", "")) if isinstance(part, Mapping) else None
            if what is not None:
                raise UnsupportedParameterError(
                    f"the model '{info.id}' cannot take {what}",
                    param=f"messages[{number}].content[{position}]",
                    fix="send text alone, or choose a model with vision (`tilores models`)",
                )
