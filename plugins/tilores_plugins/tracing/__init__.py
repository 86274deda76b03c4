"""Tracers: where traces of turns go."""
