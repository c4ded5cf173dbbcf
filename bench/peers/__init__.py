"""The same work done by other systems, in turn with this one: `python -m bench.peers`."""
