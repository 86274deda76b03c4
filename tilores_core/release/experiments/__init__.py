"""Prompt versions compared on live traffic, and guarded roll-outs.

plan.py        what is compared, on which traffic, and what it needs
assignment.py  which arm a turn belongs to; what a web process has seen of the arms, as sums
analysis.py    what the sums say, always valid
tester.py      ProductionABTester: starts, looks, decides
"""
