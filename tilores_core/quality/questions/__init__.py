"""Golden questions: made from a source's own records, read from files, split by customer.

golden      questions and the facts that a right answer holds; training, validation and held-out sets, by customer
fields      a value of a record -> a fact, by its type and the field's name
make        customers and wordings (written.toml, or made of field names) -> questions with facts, forbidden facts and
            unanswerable ones
files       YAML and JSONL files of users
"""
