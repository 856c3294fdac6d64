"""Journals keep the results of long work, so that it can be stopped and resumed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from zk.files import digest, read_json, write_whole


class Journal:
    """Answers to questions, in a file. A file about something else is ignored and replaced."""

    def __init__(self, path: Path, about: Any) -> None:
        self._path, self._about = path, digest(about)
        content = read_json(path)
        self._known = content["known"] if content.get("about") == self._about else {}

    def once(self, question: list[Any], answer: Callable[[], Any]) -> Any:
        """Return the known answer, or find and keep it. Answers are of JSON's types."""
        key = json.dumps(question)
        if key not in self._known:
            self._known[key] = answer()
            content = {"about": self._about, "known": self._known}
            write_whole(self._path, json.dumps(content, indent=1) + "\n")
        return self._known[key]

    def __contains__(self, question: list[Any]) -> bool:
        return json.dumps(question) in self._known

    def forget(self, question: list[Any]) -> None:
        """Drop an answer that no longer holds, such as one about a file that is gone."""
        self._known.pop(json.dumps(question), None)
