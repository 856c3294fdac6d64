"""The search for the cheapest circuit of a model, and the cost model that guides it."""
