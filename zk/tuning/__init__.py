"""The search for the cheapest circuit of a model, guided by a model of costs."""
