"""The cache: keys, values, and tiers used as one. Each tier is a plugin."""

from tilores_core.cache.codec import (
    Codec as Codec,
    UnreadableError as UnreadableError,
    decode as decode,
    encode as encode,
)
from tilores_core.cache.tiered import TieredCache as TieredCache
from tilores_core.cache.values import Hit as Hit, MakerResult as MakerResult
