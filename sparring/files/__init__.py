"""Files: how Sparring reads and writes them without losing data and without harm from what it opens.

atomic.py         writes that complete or leave the old file
checksummed.py    JSON with a checksum
untrusted.py      safe opening of files that anybody may have made
ownership.py      folders and files that other users cannot change
lock.py           the lock of a run: only one process trains it
marks.py          marks of files that Sparring made and may replace
sample_folder.py  a folder of samples, replaced as a whole
cache_folder.py   the folder for downloads, decoded pictures and compiled programs
"""
