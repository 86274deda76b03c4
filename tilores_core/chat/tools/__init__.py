"""The other way to answer: the model reads and searches by itself, with tools that know one customer alone."""
