"""SWEEPS: train a recipe with several values of its settings, using Optuna.

study.py    `sparring.sweep`: train, judge and rank the trials
space.py    the values to try, as lists or ranges, and the trials
folder.py   the file names of a sweep's folder, and the setup of a sweep
journal.py  the states of the trials, as a journal of Optuna
sharing.py  which process trains which trial
ranking.py  the trials, best first
"""
