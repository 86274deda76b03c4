"""Scores of answers in [0, 1], by rule: the same answer always gets the same scores, and no model is asked.

records     a customer's records, indexed once for many answers
clauses     an answer taken apart: clauses, what they negate, hedge or call outdated
numbers     figures in a clause with their units, also in words
matching    whether a clause states a fact
wording     whether an answer is fit for the phone, and whether it says that the records do not hold something
scores      the five scores and their weighted mean: `report_answer` for golden questions, `score_live` for answers
            whose facts are not known
"""
