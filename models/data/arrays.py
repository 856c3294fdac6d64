"""Arrays from untrusted files."""

from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from models.data import DatasetError


def read(path: Path) -> dict[str, np.ndarray]:
    """Read the arrays of an .npz file by name, or the array of an .npy file as `x`."""
    try:
        content = np.load(path, allow_pickle=False)
        arrays = {"x": content} if isinstance(content, np.ndarray) else dict(content)
    except FileNotFoundError:
        raise DatasetError(f"There is no file at {path}.") from None
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise DatasetError(f"{path} is neither an .npy nor an .npz file: {error}.") from error
    for name, array in arrays.items():
        if not (np.issubdtype(array.dtype, np.number) or array.dtype == np.bool_):
            raise DatasetError(f"The array {name} of {path} holds {array.dtype}, not numbers.")
    return arrays
