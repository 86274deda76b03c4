"""Checks of a request before it is sent: the parts of its messages, and what an SDK cannot convert.

SDKs fetch an image from an address, or read it from a file, when a message names one. A caller must not be able
to choose what this machine opens, so for those an image is accepted as a data URL alone.
"""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as BinasciiError
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from tilores_core.contracts import ModelInfo
from tilores_core.errors import InvalidRequestError, TiloresError, UnsupportedParameterError

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

_DATA_URL: Final = re.compile(r"data:image/[a-z0-9.+-]{1,40};base64,", re.IGNORECASE)
_HTTP_URL: Final = re.compile(r"https?://\S", re.IGNORECASE)
_MODEL_PARTS: Final = frozenset({"thinking", "reasoning", "tool_use", "tool_call"})
_KINDS = {"image_url": "images", "image": "images", "input_image": "images"}


def check_parts(info: ModelInfo, messages: Iterable[Mapping[str, Any]]) -> None:
    """Raises `UnsupportedParameterError`, whose `param` is the part's path, for an image that the model cannot see.

    Call it before a listed model is asked; it is not called for models that no catalogue lists.
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


def check_inline(messages: Iterable[BaseMessage], *, title: str, addresses: bool = False) -> None:
    """Raises `UnsupportedParameterError` for a part of a message that is neither text nor an image as a data URL.
    What a model said and gets back is let through: its thoughts, and its tool calls, which LangChain repeats there.

    `title` is the provider's name for people. `addresses`: for an SDK that passes them on, an http(s) URL will do.
    """
    for message in messages:
        for part in message.content if isinstance(message.content, list) else ():
            if not isinstance(part, Mapping) or (kind := part.get("type")) == "text":
                continue
            if message.type == "ai" and kind in _MODEL_PARTS:
                continue
            if kind == "image" and "url" not in part and "file_id" not in part:
                continue  # LangChain's own form of an image, with its bytes
            if kind == "image_url":
                image = part.get("image_url")
                url = image.get("url") if isinstance(image, Mapping) else image
                if not (addresses and isinstance(url, str) and _HTTP_URL.match(url)):
                    inline_image(image, title=title)
            else:
                raise UnsupportedParameterError(
                    f"{title} takes text and images in a message, not {str(kind)[:40]!r}",
                    param="messages",
                    fix="leave that part out, or choose a model of another provider",
                )


def inline_image(image: Any, *, title: str) -> bytes:
    """The bytes of an image given as a data URL, or as an object whose `url` is one.

    Raises `UnsupportedParameterError` for another address, `InvalidRequestError` for broken base64.
    """
    url = image.get("url") if isinstance(image, Mapping) else image
    start = _DATA_URL.match(url) if isinstance(url, str) else None
    if start is None:
        raise UnsupportedParameterError(
            f"{title} takes an image within the message, not by its address",
            param="messages",
            fix="send it as data:image/png;base64,…",
        )
    try:
        return b64decode(start.string[start.end() :], validate=True)
    except (BinasciiError, ValueError):
        raise InvalidRequestError("an image in the messages is not valid base64", param="messages") from None
