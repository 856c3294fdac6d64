"""The datasets and what a model sees of them; importing anything here never imports torch."""
