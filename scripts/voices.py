from collections import Counter
from pathlib import Path

import click

from scripts._cli import Command, suggest
from zk.files import ROOT, whole


@click.command(cls=Command)
@click.option("--data", type=click.Path(path_type=Path), help="Folder. Default: VOICE_DATA_DIR.")
@click.option(
    "--synthetic", is_flag=True, help="Use the corpus that espeak-ng speaks on this machine."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=ROOT / "artifacts" / "voices.png",
    help="Picture. Default: artifacts/voices.png.",
)
def cli(data: Path | None, synthetic: bool, out: Path) -> None:
    """Count recordings by corpus, emotion and speaker; draw one of each emotion.

    \b
    Example:
        ape run voices --data path/to/corpora
        ape run voices --synthetic
    """
    if data and synthetic:
        raise click.UsageError("Give --data or --synthetic, not both.")
    from models.data import picture, sound, voices

    found = voices.synthetic() if synthetic else voices.find(data)
    found.hear(lambda samples: samples[:1])  # reads every file
    click.echo(f"  {'corpus':16}" + "".join(f"{emotion:>10}" for emotion in voices.EMOTIONS))
    for corpus in voices.CORPORA:
        clips = [clip for clip in found.clips if clip.corpus == corpus]
        if not clips:
            continue
        emotions = Counter(clip.emotion for clip in clips)
        click.echo(
            f"  {corpus:16}" + "".join(f"{emotions[emotion]:10,}" for emotion in voices.EMOTIONS)
        )
        speakers = Counter(clip.speaker for clip in clips)
        kept = {clip.speaker for clip in clips if clip.held_out}
        each = ", ".join(
            f"{name}{'*' if name in kept else ''} {count}" for name, count in speakers.items()
        )
        click.echo(f"    {len(clips):,} clips of {len(speakers)} speakers: {each}")
    click.echo("  * test speakers, never heard in training")
    if found.strange:
        click.echo(f"  {len(found.strange)} files left out:")
        for path, reason in found.strange.items():
            click.echo(f"    {path}: {reason}")
    panels = {}
    for emotion in reversed(voices.EMOTIONS):
        if chosen := next((clip for clip in found.clips if clip.emotion == emotion), None):
            title = f"{emotion}: {chosen.score:.2f}, {chosen.corpus}, {chosen.path.name}"
            panels[title] = sound.decibels(sound.read(chosen.path))
    with whole(out, mode=0o600) as partial:
        picture.spectrograms(panels).save(partial, "PNG")
    click.echo(f"  one spectrogram per emotion: {out}")
    suggest(f"train voice --data {data}" if data else "train voice")
