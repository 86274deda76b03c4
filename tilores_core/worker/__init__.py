"""Background work beside the web processes: batches, pre-warming, schedules.

assembly.py      builds batches and pre-warming from `Services`
engine_pool.py   engines in an executor's processes and threads
"""
