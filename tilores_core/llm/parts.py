"""What is wrong with a request before it is sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tilores_core.contracts import ModelInfo
from tilores_core.errors import InvalidRequestError, TiloresError, UnsupportedParameterError

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


@contextmanager
def building(title: str, *, param: str = "messages") -> Iterator[None]:
    """Around code of an SDK that builds a request: what it raises is the caller's error, as nothing was sent yet.

    `title` is the provider's name for people; `param`: what is at fault, as far as is known.
    """
    try:
        yield
    except TiloresError:
        raise
    except Exception as error:
        raise InvalidRequestError(
            f"the request cannot be put to {title}: its {param} cannot be converted ({type(error).__name__})",
            param=param,
            fix="send it in a plainer form, or choose a model of another provider",
        ) from error
