"""The one exception whose message is written for the user."""


class UserError(Exception):
    """Something the user can mend: a bad file, setting or path.

    The message names what is wrong, where (file, record, field) and the remedy. The command line prints it as
    one line and exits with status 2; no traceback is shown.
    """
