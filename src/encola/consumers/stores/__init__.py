"""Stores of records: where jobs, slots, rates and joins are kept. See ``jobstore`` for what they all do."""
