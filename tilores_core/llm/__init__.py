"""What a provider plugin over a LangChain chat model is made of: model data, parameters, errors, transport."""
