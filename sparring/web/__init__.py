"""THE PAGE: runs in a browser, during and after training. It reads run folders and writes nothing.

run_index.py   the runs in a folder, each with an id
tail.py        the events of a run, read as they are written
view.py        what the page shows of a run, as JSON
reader.py      cached JSON about all runs, and their explorers
explorer.py    the networks of a run, for the explore view
playground.py  the requests of the explore view
responses.py   JSON and files as HTTP responses
app.py         the routes
auth.py        access control
limits.py      the largest files that are read
timeouts.py    timeouts and limits of connections
server.py      the process
static/        what runs in the browser

No module here imports the training. Only the explorer loads networks.
"""
