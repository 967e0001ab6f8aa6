"""SWEEPS: one recipe with several values of its settings, on Optuna.

study.py    `sparring.sweep`: trains, judges and ranks the trials
space.py    the values to try, as lists or ranges, and the trials that follow
folder.py   every file name of a sweep's folder
journal.py  what became of each trial, in the form of Optuna's journal
sharing.py  which process trains which trial
ranking.py  the trials, the best first
"""
