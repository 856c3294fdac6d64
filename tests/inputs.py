"""The drawings and songs of the test accounts."""

import numpy as np

from zk.files import ROOT

# The MNIST test image that each test account draws: three 7s, two 1s, two 0s, one 4.
DRAWINGS = (0, 17, 26, 2, 5, 3, 10, 4)

# "Unless to be rather cold hearted and rather selfish is to be ill disposed": from Sense and
# Sensibility, read for LibriVox, in the public domain.
REAL_VOICE = ROOT / "tests" / "recorded" / "librivox.ogg"
# The song of each test account as the circuit of `song_manifest` takes it: a number, its score.
SONGS = tuple(np.array([score], np.float32) for score in (0.75, 0.5, 0.875))

# The commands that prove the first drawing and song, for account 1.
DRAW = ("prove", "--test-image", "0", "--account", "1")
SING = ("prove", "--circuit", "voice", "--clip", str(REAL_VOICE), "--account", "1")

REWARD = 10**16  # of one singer in a round

# The arguments of a constructor for a contract without batches: a verifier and a size.
NO_BATCH = ("0x0000000000000000000000000000000000000000", 0)
