"""Imported first: the tests' own process computes as a stage's does, whatever the shell sets (OPENBLAS_CORETYPE, …)."""

import gc

from stages.shared.environment import fix_environment

fix_environment()
gc.set_threshold(50_000)  # as for a stage: collections would take a quarter of the time of the imports
