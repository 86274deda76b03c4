"""Whom a conversation is about: what its messages name, whom the source knows by that, what to ask when several fit.

words, tokens      a text as words, and which of them tell a name from the rest of a sentence
contacts, names    what identifies somebody in free text, each kind found by its own rules
mention            what was found, and how much each kind of it weighs
identifiers        all of that for one message
conversation       the messages of the user, each read when it is first wanted
search, choices    the message that decides, and what tells several customers apart
finder             the outcome: one customer, none, or several
"""
