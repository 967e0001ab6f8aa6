"""FILES: how Sparring reads and writes them, so that nothing is lost and nothing that it opens can do harm.

atomic.py         a file is written whole or not at all
checksummed.py    JSON with a checksum of itself
untrusted.py      safe reading of files that anybody may have made
ownership.py      folders that other users of the machine could write to
lock.py           the lock of a run: one process trains it
marks.py          how a file says that Sparring made it, so that it may be replaced
sample_folder.py  a folder of samples, replaced as a whole
cache_folder.py   where downloads, decoded pictures and compiled programs are kept
"""
