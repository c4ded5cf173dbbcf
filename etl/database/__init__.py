"""How a database is reached: URLs, connections, versions of tables, and what databases refuse.

In: a URL. Out: connections whose transactions and errors are the same everywhere, or one sentence on why
there is none. In the writer process; in the parent for commands that only look.
"""
