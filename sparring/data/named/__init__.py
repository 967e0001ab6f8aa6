"""DATA SETS with a name.

sets.py      where MNIST and its relatives are found
download.py  downloads with mirrors and checksums
stacked.py   stacked MNIST: three digits an image
"""
