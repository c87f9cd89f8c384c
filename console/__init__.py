"""What all commands share: the group, errors, tables, number parameters."""
