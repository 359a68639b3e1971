"""Sweeps: many runs from one file, on this machine or as a SLURM job array.

A sweep is a file in W&B's format (`sweep`); each of its combinations is a trial with a name and a run
directory of its own (`trial`). What a trial has reached is read from its run directory (`state`), so a
launcher (`local`, `slurm`) that was stopped is simply started again. Nothing here knows about networks: a
trial is a `cofusion fit` command.
"""
