"""Datasets, views and training."""
