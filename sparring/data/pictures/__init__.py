"""THE USER'S OWN PICTURES: listed, examined, arranged, and decoded once.

collection.py  from files to an `ImageSet`
listing.py     the files of a folder or a zip file
folder.py      a folder of pictures
archive.py     a zip file of pictures
search.py      when to stop the search for pictures
decode.py      decodes one file
shaping.py     size, fit and channels
labels.py      classes from folders
label_file.py  StyleGAN's dataset.json
shards.py      numbered folders that are not classes
index.py       an index of the files, so that unchanged ones are not read again
store.py       decoded pixels in the cache
parallel.py    applies a function to many files, in threads
"""
