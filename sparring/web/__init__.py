"""THE PAGE: runs in a browser, while they learn and afterwards. It reads run folders and writes nothing.

run_index.py  the runs in a folder, each with an id
tail.py       the events of a run, as they are written
view.py       what the page shows of a run, as JSON
explorer.py   the networks of a run, to explore
auth.py       who may see the page
app.py        which address answers what
limits.py     how much of a run is read
timeouts.py   connections that send or read nothing
server.py     the process
static/       what runs in the browser

No module here imports the training; networks are loaded only for the explorer.
"""
