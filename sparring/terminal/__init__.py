"""The terminal: printing, tables and progress. The live view of a training is `sparring.training.live`.

output.py    printing and quoting of text that anybody may have made
progress.py  a progress bar on a terminal, lines elsewhere
tables.py    tables that fit a narrow terminal
"""
