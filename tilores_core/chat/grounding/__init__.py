"""The guard: are the values in an answer this customer's?

vocabulary  the words of values: months, numbers
figures   a text with its numbers in figures
amounts   numbers with what is said beside them
claims    a text -> the values it states: numbers, dates, e-mail addresses, phone and account numbers, names
evidence  records, or what was said -> an index that can tell whether they bear such a claim out
names     names of people among them
guard     off, report or block; the memory of indexes; what is counted and logged
"""
