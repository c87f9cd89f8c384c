"""`python -m demo.marketplace`: the same command without the rest of the project."""

from demo.marketplace.cli import generate

if __name__ == "__main__":
    generate()
