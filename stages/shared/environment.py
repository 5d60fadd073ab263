"""What of a process's environment changes the bytes of an output, held the same for every stage.

`process.run` imports this before anything else: libraries read these settings as they are loaded.
"""

import os
from pathlib import Path

# NumPy's products on one thread: shared out among cores, their sums would differ in the last bits with the number of
# cores. Nothing here is large enough to miss them. PyTorch has its own threads, `train.threads`.
_SET = {"OPENBLAS_NUM_THREADS": "1"}
_UNSET = (
    # These would have PyTorch's threads be others, or other than so many.
    *("OMP_DYNAMIC", "OMP_THREAD_LIMIT", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "MKL_DYNAMIC", "KMP_ALL_THREADS"),
    # These, its kernels and NumPy's be others than the processor's.
    *("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS", "MKL_CBWR"),
    *("OPENBLAS_CORETYPE", "NPY_DISABLE_CPU_FEATURES", "NPY_ENABLE_CPU_FEATURES"),
    "MATPLOTLIBRC",  # a file of settings that change the pictures
)


def hold() -> None:
    """Settle this process's environment; before NumPy, PyTorch and Matplotlib are imported."""
    os.environ.update(_SET)
    for name in _UNSET:
        os.environ.pop(name, None)
    # Matplotlib keeps its list of fonts here, not in the home folder, whose settings would change the pictures.
    os.environ["MPLCONFIGDIR"] = str(Path(".matplotlib_cache").absolute())
