"""What the author of a pipeline says, checked when it is loaded.

In: a pipeline's name, a file or a module. Out: a `Pipeline` that can be carried out, or one sentence on why
not. No data, no database and no network are touched. In the parent process.
"""
