"""The list of models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tilores_core.contracts import ModelInfo
from tilores_core.errors import UnknownModelError


def models_body(models: Sequence[tuple[str, ModelInfo]]) -> dict[str, Any]:
    """The body of `GET /v1/models`; `models` are pairs of provider name and model."""
    return {"object": "list", "data": [model_body(provider, info) for provider, info in models]}


def model_body(provider: str, info: ModelInfo) -> dict[str, Any]:
    """One model. What cannot be used now is listed too, and says what to do about it.

    `name` is the label that Open WebUI shows instead of the id; only models that need a remark have one.
    """
    identifier = f"{provider}:{info.id}"
    body: dict[str, Any] = {
        "id": identifier,
        "object": "model",
        "created": info.created,
        "owned_by": provider,
        "available": info.unavailable is None,
    }
    remarks = []
    if info.simulated:
        remarks.append("simulated")
    if info.unavailable is not None:
        remarks.append("unavailable")
        body["unavailable_reason"] = info.unavailable
    if remarks:
        body["name"] = f"{identifier} ({', '.join(remarks)})"
    return body


def find_model(models: Sequence[tuple[str, ModelInfo]], model_id: str) -> dict[str, Any]:
    """The body of `GET /v1/models/{id}`; `model_id` as the client means it, percent-decoded.

    A bare model works where only one provider has it. Raises `UnknownModelError` for one that is not listed.
    """
    bare = []
    for provider, info in models:
        if model_id == f"{provider}:{info.id}":
            return model_body(provider, info)
        if model_id == info.id:
            bare.append((provider, info))
    if len(bare) == 1:
        return model_body(*bare[0])
    raise UnknownModelError("there is no model of that name", fix="GET /v1/models lists the names")
