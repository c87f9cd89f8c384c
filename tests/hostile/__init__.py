"""Photos, URLs and rows that sellers, crawlers and attackers send, generated from parameters."""
