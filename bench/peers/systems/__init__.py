"""One small script a system: `python SCRIPT FEED OUTPUT [WALLET ...]`; every deal where no wallet is named.

They run in an environment of their own (`.venv-peers`), and import nothing of this project.
"""
