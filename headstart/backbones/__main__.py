"""`python -m headstart.backbones`: the networks that there are, and what is known of them."""

from headstart.base import errors  # first: from here on Ctrl-C is one line

# isort: split
from headstart.discovery import listing

if __name__ == "__main__":
    errors.run(listing.main)
