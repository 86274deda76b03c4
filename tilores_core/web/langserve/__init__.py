"""The LangServe protocol under `/chat`, as functions: bodies in, bodies and server-sent events out."""
