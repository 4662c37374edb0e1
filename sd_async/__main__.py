"""`python -m sd_async`."""

from sd_async.cli import main

if __name__ == "__main__":
    main()
