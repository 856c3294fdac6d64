"""The limits of a hub: what it accepts from one user, and from all users together."""

from dataclasses import dataclass

LARGEST_CLIP = 12_000_000  # characters of base64: thirty seconds of studio quality
LARGEST_PROOF = 200_000  # bytes of a request with a proof, a call or a drawing
LARGEST_INPUT = 16_000_000  # bytes of a request with numbers
NUMBER = 32  # bytes of a number in JSON, with the space around it


@dataclass(frozen=True)
class Limits:
    """The limits on jobs, requests and connections. The first four are options of the command."""

    queue: int  # open jobs of all tokens
    share: int  # open jobs per token
    pace: float  # requests per second and token
    keep: float  # seconds to keep ended jobs

    connections: int = 500  # fewer than the files that a process may open, often 1,024
    connections_per_address: int = 200
    streams: int = 100  # streams of events per token; on loopback, per address

    headers: float = 10  # seconds until the headers of a request are complete
    transfer: float = 60  # seconds until a body is complete, or the client reads on

    small: int = 64_000  # bytes of a body for which there is always room
    large: int = 64_000_000  # bytes of all larger bodies that are in memory at once


def largest_order(takes_clips: bool, numbers: int) -> int:
    """The bytes of the largest request with an input for a circuit that takes this many numbers."""
    clip = LARGEST_CLIP if takes_clips else 0
    return LARGEST_PROOF + max(clip, min(NUMBER * numbers, LARGEST_INPUT))
