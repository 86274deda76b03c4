"""What a model is given of a customer: how much of it fits, and how sure it is."""
