"""Executors: where a batch's work is done."""
