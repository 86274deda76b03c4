"""Which customer a conversation is about: everything that was said must fit.

words, data/       the words of seven languages
tokens             a text as words
names, spans       the names of people among them
mentioned          those names and the ones that the source knows, as evidence
numbers, dates     numbers as they are said, dates in part or in full
announced          what the text before a number says of it
contacts, ids      e-mail addresses and phone numbers, ids of customers
unmarked           numbers, dates and words that nothing announces, beside what identifies
said               what is negated or corrected
places             where the customer is said to be
references         choices, rejections and relatives that a message refers to
fluency            hesitation and spelling, as speech recognition writes them
extraction         all of that for one message, as evidence
name_parts         what is said of the parts of a name: how they are spelt, which is the family name
facts, choices     what records say of birth and place; what tells several customers apart, and how to ask
narrowing          what a reply leaves of several customers
resolution         evidence and candidates -> one, several, none or unnamed, with the reason; pure
finder             asks the source for the candidates
"""
