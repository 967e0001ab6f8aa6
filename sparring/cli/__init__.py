"""THE COMMAND LINE.

main.py       the commands and their options
catalogue.py  the table of `sparring recipes`
"""
