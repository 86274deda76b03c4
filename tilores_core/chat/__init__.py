"""The request path: question -> customer -> prompt -> cache -> model -> answer."""
