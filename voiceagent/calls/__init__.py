"""From a connection to a finished call: admission, the crash boundary, the call's own nursery."""
