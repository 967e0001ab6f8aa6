"""LIMITS of a command: how to start Python with them."""

START = (
    "import resource, sys; from sparring.cli import main as cli; resource.setrlimit({}, ({}, {})); sys.exit(cli.main())"
)


def limited(resource: int, most: int) -> tuple[str, ...]:
    """Python's arguments for `sparring` with at most that much of a resource, one of `resource.RLIMIT_*`.

    (A child that sets them before it becomes Python would be forked from threads that JAX has.)
    """
    return ("-c", START.format(resource, most, most))
