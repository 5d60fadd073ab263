"""Environment variables that affect the outputs; every stage sets them to the same values.

`runtime.run` imports this module first, because libraries read the variables when they are loaded.
"""

import logging
import os
from pathlib import Path

# One thread for NumPy: with several, the last bits of matrix products depend on the number of cores. No product here is
# large enough to need more. PyTorch has its own threads, `train.threads`.
_SET = {"OPENBLAS_NUM_THREADS": "1"}
_UNSET = (
    # These change the number of PyTorch's threads.
    *("OMP_DYNAMIC", "OMP_THREAD_LIMIT", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "MKL_DYNAMIC", "KMP_ALL_THREADS"),
    # These select other kernels of PyTorch and NumPy.
    *("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS", "MKL_CBWR"),
    *("OPENBLAS_CORETYPE", "NPY_DISABLE_CPU_FEATURES", "NPY_ENABLE_CPU_FEATURES"),
    "MATPLOTLIBRC",  # a file with settings of plots
)


def fix_environment() -> None:
    """Set the variables; must be called before NumPy, PyTorch and Matplotlib are imported."""
    os.environ.update(_SET)
    for name in _UNSET:
        os.environ.pop(name, None)
    # No C++ stack traces for failed connections; the exception reports them.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "FATAL")
    # No warning about the font cache in a read-only checkout
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    # Matplotlib's font cache is here; settings in the home folder would change the plots.
    os.environ["MPLCONFIGDIR"] = str(Path(".matplotlib_cache").absolute())
