"""`python -m etl` is the console script `etl`."""

from etl.command.cli import main

if __name__ == "__main__":
    main()
