"""Golden questions: made from a source's own records, read from files, split by customer.

fields      a value of a record -> a fact, by its type and the field's name
make        customers and wordings (written.toml, or made of field names) -> questions with facts, forbidden facts and
            unanswerable ones
splits      training, validation and held-out, by customer
files       YAML and JSONL files of users
"""
