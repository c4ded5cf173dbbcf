"""What is remembered of runs, and that there is but one at a time.

In: what a run did. Out: its row, its rejects, the version of the feed that it saw, and the lock that it
holds. In the writer process; in the parent where a run has failed.
"""
