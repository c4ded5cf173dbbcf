"""The command `etl`: arguments and settings in; reports, logs and an exit status out.

In the parent process.
"""
