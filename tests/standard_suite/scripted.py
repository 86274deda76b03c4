"""What the fake upstream answers so that LangChain's suites meet a capable model."""

from __future__ import annotations

from tilores_core.testing.fake_upstream import Asked, Reply, ReplyLike, ToolCall

# Questions of the suites that name their tool in other words than its name.
_CALLS = (
    ("weather", "get_weather", {"location": "San Francisco"}),
    ("Pirate greeting", "greeting_generator", {"answer_style": "pirate"}),
    ("你好啊集团", "unicode_customer", {"customer_name": "你好啊集团", "description": "a company"}),
    ("こんにちは株式会社", "unicode_customer", {"customer_name": "こんにちは株式会社", "description": "a company"}),
)


def scripted(asked: Asked) -> ReplyLike:
    """A call of the tool that a question means, the JSON that it describes; for all else the fake upstream's own."""
    offered = {tool.name for tool in asked.tools}
    if asked.tool_result is None:
        for words, name, arguments in _CALLS:
            if words in asked.question and name in offered:
                return Reply(tool_calls=(ToolCall(name, arguments),))
    if asked.schema is not None and "'setup' and 'punchline'" in asked.question:
        return '{"setup": "Why was the cat on the computer?", "punchline": "To watch the mouse."}'
    return Reply()
