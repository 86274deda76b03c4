"""HTTP only: the two chat protocols, keys, limits, health, administration. No domain logic."""
