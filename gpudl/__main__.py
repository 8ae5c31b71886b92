"""`python -m gpudl`: the command line."""

from gpudl.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
