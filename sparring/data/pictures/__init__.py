"""THE USER'S OWN PICTURES: listed, looked at, arranged, and decoded once.

collection.py  the way from files to an `ImageSet`
listing.py     what a folder or a zip lists of itself
folder.py      a folder of pictures
archive.py     a zip of pictures
search.py      when to stop searching for pictures
decode.py      one file as a picture
shaping.py     size, fit and channels
labels.py      classes from folders
label_file.py  StyleGAN's dataset.json
shards.py      numbered folders that are not classes
index.py       what the files were found to hold, so that unchanged ones are not read again
store.py       decoded pixels, kept in the cache
parallel.py    a function over many files, in threads
"""
