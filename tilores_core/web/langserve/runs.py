"""The two runs that the streams tell of: the whole, and the model's inside it."""

from __future__ import annotations

from typing import Any, Final

from tilores_core.web.langserve.pieces import RunInfo

ROOT_NAME: Final = "/chat"
ROOT_TYPE: Final = "chain"
MODEL_NAME: Final = "ChatModel"
MODEL_TYPE: Final = "chat_model"


def root_metadata(run: RunInfo) -> dict[str, Any]:
    """The client's own, without what is private by its name."""
    return {key: value for key, value in run.request.metadata.items() if not key.startswith("__")}


def model_metadata(run: RunInfo) -> dict[str, Any]:
    """The same, and which model it is under the names that LangChain uses."""
    metadata = {**root_metadata(run), "ls_model_type": "chat"}
    if run.model:
        provider, colon, model = run.model.partition(":")
        metadata["ls_model_name"] = model if colon else provider
        if colon:
            metadata["ls_provider"] = provider
    return metadata
