"""The OpenAI protocol as pure functions: bytes to a request, an answer to bytes. No sockets, no framework."""
