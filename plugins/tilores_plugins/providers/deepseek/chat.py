"""langchain-deepseek's chat model. Imported when the first chat model is made."""

from __future__ import annotations

from langchain_deepseek import ChatDeepSeek

from tilores_core.llm.openai_chat import Answering


class DeepSeekChat(Answering, ChatDeepSeek):
    """Its reasoning stays out of the text, in `additional_kwargs["reasoning_content"]`."""
