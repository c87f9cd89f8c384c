"""The queue of listing events, as its senders and its worker know it."""
