"""What long work found out so far, so that it can be stopped and goes on where it was."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from zk.files import digest, read_json, write_whole


class Journal:
    """Answers that were found once, in a file; one that is about something else starts anew."""

    def __init__(self, path: Path, about: Any) -> None:
        self._path, self._about = path, digest(about)
        content = read_json(path)
        self._known = content["known"] if content.get("about") == self._about else {}

    def once(self, question: list[Any], answer: Callable[[], Any]) -> Any:
        """The answer that is known, or else found now and kept; it must be of JSON's types."""
        key = json.dumps(question)
        if key not in self._known:
            self._known[key] = answer()
            content = {"about": self._about, "known": self._known}
            write_whole(self._path, json.dumps(content, indent=1) + "\n")
        return self._known[key]

    def __contains__(self, question: list[Any]) -> bool:
        return json.dumps(question) in self._known

    def forget(self, question: list[Any]) -> None:
        """For answers about files that are no longer there."""
        self._known.pop(json.dumps(question), None)
