"""Work in the background: batch, pre-warming, schedules."""
