"""What Asterisk can be asked, a function per request, a module per kind of thing. They return `Request`s, nothing else.

What every one of them raises: ValueError for an empty id or a list item with a comma in it (Asterisk would take it for
two), RequestTooLongError for what Asterisk would not read.
"""
