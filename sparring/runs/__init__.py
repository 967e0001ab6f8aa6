"""THE RUN FOLDER: training writes it, everything else only reads it.

run.py          every file name, the recipe and the environment
events.py       the lines of events.jsonl
identity.py     which run a file belongs to
schemas.py      what each JSON file must hold
checkpoint.py   named arrays with a checksummed manifest, saved atomically, verified on load
resume.py       which run a command means, and whether it may go on
trained.py      the networks of a run with the state of a checkpoint
generator.py    a finished generator: latents to images
run_images.py   the training images of a run, found again by their checksum
environment.py  versions, device and data that a run was made with
writer.py       a thread that writes files while the training goes on
"""
