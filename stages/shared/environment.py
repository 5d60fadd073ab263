"""What of a process's environment changes the bytes of an output, held the same for every stage.

`process.run` imports this before anything else: libraries read these settings as they are loaded.
"""

import os
from pathlib import Path

# NumPy's products on one thread: shared out among cores, their sums would differ in the last bits with the number of
# cores. Nothing here is large enough to miss them. PyTorch has its own threads, `train.threads`.
_SET = {"OPENBLAS_NUM_THREADS": "1"}
# These would have PyTorch's threads be others, or other than so many.
_UNSET = ("OMP_DYNAMIC", "OMP_THREAD_LIMIT", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "MKL_DYNAMIC", "KMP_ALL_THREADS")


def hold() -> None:
    """Settle this process's environment; before NumPy, PyTorch and Matplotlib are imported."""
    os.environ.update(_SET)
    for name in _UNSET:
        os.environ.pop(name, None)
    # Matplotlib keeps its list of fonts here, not in the home folder, whose settings would change the pictures.
    os.environ["MPLCONFIGDIR"] = str(Path(".matplotlib_cache").absolute())
