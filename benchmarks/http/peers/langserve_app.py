"""LangServe as its documentation sets it up: one chain over ChatOpenAI, no cache, no tracing."""

from __future__ import annotations

import os

from fastapi import FastAPI
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_openai import ChatOpenAI
from langserve import add_routes
from pydantic import BaseModel


class ChatInput(BaseModel):
    messages: list[HumanMessage | AIMessage | SystemMessage]


model = ChatOpenAI(model="stub-model", base_url=os.environ["STUB_URL"], api_key="none", max_retries=0)
chain = ChatPromptTemplate.from_messages([MessagesPlaceholder("messages")]) | model
app = FastAPI()
add_routes(app, chain.with_types(input_type=ChatInput), path="/chat")  # type: ignore[arg-type]  # as its manual has it
