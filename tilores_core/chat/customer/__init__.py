"""Which customer a conversation is about: everything that was said must fit.

words, data/       the words of seven languages
tokens, names      a text as words, and the names of people among them
numbers, dates     numbers as they are said, dates in part or in full
contacts           e-mail addresses, phone numbers and ids
said               what is negated, corrected or referred to
extraction         all of that for one message, as evidence
facts, choices     what records say of birth and place; what tells several customers apart, and how to ask
resolution         evidence and candidates -> one, several, none or unnamed, with the reason; pure
finder             asks the source for the candidates
"""
