"""The datasets and the views that turn them into tensors. No module here imports torch."""


class DatasetError(Exception):
    """Data is missing or invalid."""
