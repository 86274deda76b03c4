"""How models are asked: in which order, for how long, how often, and what the caller hears when one breaks off."""
