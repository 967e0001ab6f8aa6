"""THE TERMINAL: tables and progress. The live view of a training is `sparring.training.live`.

progress.py  a progress bar on a terminal, lines elsewhere
tables.py    tables that fit a narrow terminal
"""
