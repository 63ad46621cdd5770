"""`python -m bench.abuse`."""

from bench.abuse.figures import main

if __name__ == "__main__":
    main()
