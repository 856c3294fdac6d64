"""Recorded emotions: five public corpora in their publishers' layouts, and a synthetic one."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from models.data import DatasetError, sound

# From the least to the most pleasant, with scores from 0 to 1 in equal steps. Both ends are the
# tutorial's: its judge loves pleasant surprise and hates disgust. The order between them follows
# valence, which says how pleasant a feeling is to the person who has it. Happiness and calm are
# pleasant, neutral is neither; sadness is the mildest unpleasant feeling, then come fear and anger.
# The score ignores arousal: anger and happiness are equally loud and far apart.
EMOTIONS = ("disgust", "angry", "fearful", "sad", "neutral", "calm", "happy", "surprised")


def score(emotion: str) -> float:
    """The score that an emotion deserves, 0 to 1."""
    return EMOTIONS.index(emotion) / (len(EMOTIONS) - 1)


@dataclass(frozen=True)
class Corpus:
    """The file names of a corpus, and its test speakers.

    `pattern` matches the folder and the name of a file, with the groups `speaker` and `emotion`.
    `emotions` translates the publisher's codes.
    """

    pattern: re.Pattern[str]
    emotions: dict[str, str]
    held_out: frozenset[str]


RAVDESS_CODES = dict(
    zip(
        ("01", "02", "03", "04", "05", "06", "07", "08"),
        ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised"),
        strict=True,
    )
)
CORPORA = {
    "RAVDESS speech": Corpus(
        re.compile(r"/03-01-(?P<emotion>0[1-8])-0[12]-0[12]-0[12]-(?P<speaker>[01]\d|2[0-4])$"),
        RAVDESS_CODES,
        frozenset({"17", "18", "19", "20"}),
    ),
    "RAVDESS song": Corpus(
        re.compile(r"/03-02-(?P<emotion>0[1-6])-0[12]-0[12]-0[12]-(?P<speaker>[01]\d|2[0-4])$"),
        RAVDESS_CODES,
        frozenset({"17", "18", "19", "20"}),  # the same actors as in speech
    ),
    "TESS": Corpus(
        re.compile(
            r"/(?P<speaker>OAF|YAF)_\w+_(?P<emotion>angry|disgust|fear|happy|neutral|ps|sad)$"
        ),
        {"fear": "fearful", "ps": "surprised"},
        frozenset({"YAF"}),
    ),
    "CREMA-D": Corpus(
        re.compile(
            r"/(?P<speaker>1[01]\d\d)_[A-Z]{3}_(?P<emotion>ANG|DIS|FEA|HAP|NEU|SAD)_(XX|X|LO|MD|HI)$"
        ),
        {
            "ANG": "angry",
            "DIS": "disgust",
            "FEA": "fearful",
            "HAP": "happy",
            "NEU": "neutral",
            "SAD": "sad",
        },
        frozenset(str(speaker) for speaker in range(1076, 1092)),  # of 1001 to 1091
    ),
    "SAVEE": Corpus(
        # `DC/a01` as published, `DC_a01` in copies with a single folder.
        re.compile(r"/(?P<speaker>DC|JE|JK|KL)[/_](?P<emotion>a|d|f|h|n|sa|su)\d\d$"),
        {
            "a": "angry",
            "d": "disgust",
            "f": "fearful",
            "h": "happy",
            "n": "neutral",
            "sa": "sad",
            "su": "surprised",
        },
        frozenset({"KL"}),
    ),
    "synthetic": Corpus(
        re.compile(r"/espeak_(?P<speaker>\w+)_(?P<emotion>[a-z]+)_\d$"),
        {},
        frozenset({"f4", "m4"}),
    ),
}
WHERE = (
    "Download RAVDESS, TESS, CREMA-D or SAVEE (all are on Kaggle), unpack them into one folder, "
    "and name it with --data or VOICE_DATA_DIR."
)


@dataclass(frozen=True)
class Clip:
    """A recording of one emotion."""

    path: Path
    corpus: str
    speaker: str
    emotion: str

    @property
    def score(self) -> float:
        return score(self.emotion)

    @property
    def held_out(self) -> bool:
        """True for a test speaker, whose clips are never used in training."""
        return self.speaker in CORPORA[self.corpus].held_out


@dataclass
class Found:
    """The recordings below a folder, and the files left out, each with a reason."""

    clips: list[Clip]
    strange: dict[Path, str] = field(default_factory=dict)

    def hear(self, view: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Apply a view to each clip. Unreadable clips move from `clips` to `strange`."""
        heard, kept = [], []
        for clip in tqdm(self.clips, "reading recordings", leave=False, unit="clip", disable=None):
            try:
                heard.append(view(sound.read(clip.path)))
                kept.append(clip)
            except sound.SoundError as error:
                self.strange[clip.path] = str(error)
        self.clips = kept
        if not heard:
            raise DatasetError(f"None of the recordings can be read. {WHERE}")
        return np.stack(heard)

    def only(self, *, held_out: bool) -> "Found":
        """The clips of the test speakers, or of the others."""
        return Found([clip for clip in self.clips if clip.held_out == held_out])


def find(folder: Path | None = None) -> Found:
    """Find the clips of all corpora below a folder, by default VOICE_DATA_DIR."""
    if folder is None:
        if not (named := os.environ.get("VOICE_DATA_DIR")):
            raise DatasetError(f"No folder of voices is given. {WHERE}")
        folder = Path(named)
    if not folder.is_dir():
        raise DatasetError(f"There is no folder {folder}. {WHERE}")
    found, seen = Found([]), dict[tuple[str, str], Path]()
    for path in sorted(p for p in folder.rglob("*") if p.suffix.lower() in sound.FORMATS):
        if not (clip := _parse(path)):
            found.strange[path] = "its name fits no corpus"
        elif first := seen.get((clip.corpus, f"{clip.speaker}_{path.stem}")):
            # Two of the corpora contain a second copy of all their files.
            found.strange[path] = f"a copy of {first}"
        else:
            seen[clip.corpus, f"{clip.speaker}_{path.stem}"] = path
            found.clips.append(clip)
    if not found.clips:
        raise DatasetError(f"{folder} has no recording of a known corpus. {WHERE}")
    return found


def _parse(path: Path) -> Clip | None:
    name = f"/{path.parent.name}/{path.stem}"
    for corpus, rules in CORPORA.items():
        if match := rules.pattern.search(name):
            code = match["emotion"]
            emotion = rules.emotions.get(code, code)
            return Clip(path, corpus, match["speaker"], emotion) if emotion in EMOTIONS else None
    return None


def synthetic() -> Found:
    """The synthetic corpus; made at the first call."""
    from models.data import synthetic

    return find(synthetic.ensure())


def synthetic_clip(voice: str, emotion: str, sentence: int) -> Clip:
    """One clip of the synthetic corpus."""
    name = f"espeak_{voice}_{emotion}_{sentence}"
    return next(clip for clip in synthetic().clips if clip.path.stem == name)
