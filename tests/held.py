"""Imported first: the tests' own process computes as a stage's does, whatever the shell sets (OPENBLAS_CORETYPE, …)."""

from stages.shared.environment import fix_environment

fix_environment()
