"""DATA SETS with a name.

sets.py      MNIST and Fashion-MNIST: their checksums and where to find them
download.py  downloads with mirrors and checksums
stacked.py   stacked MNIST: three digits per image
"""
