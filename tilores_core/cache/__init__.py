"""The cache: keys, values, and tiers used as one. Each tier is a plugin."""

from tilores_core.cache.codec import Codec, UnreadableError, decode, encode
from tilores_core.cache.tiered import TieredCache
from tilores_core.cache.values import Hit, MakerResult

__all__ = ["Codec", "Hit", "MakerResult", "TieredCache", "UnreadableError", "decode", "encode"]
