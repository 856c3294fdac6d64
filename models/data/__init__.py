"""The datasets and what a model sees of them; importing anything here never imports torch."""


class DatasetError(Exception):
    """Data is missing, or is not what it should be."""
