"""THE PAGE: runs in a browser, while they learn and afterwards. It reads run directories, and writes nothing.

    shelf.py    which runs there are, each under an id      tail.py    a run's events, as they come
    view.py     what the page is told of a run               player.py  a run's two networks, to play with
    guard.py    who may ask                                  app.py     what is answered to whom
    server.py   the process                                  static/    what runs in the browser
    plain.py    what is opened of a run                      patience.py   with whom, and for how long

No module of it knows the trainer, and the networks are loaded only where somebody plays with them.
"""
