"""The one exception that a user is meant to read."""


class InputError(Exception):
    """Something that a person can put right: a param, a file, a device, a mirror.

    Its text names the file or key, what was expected, what came, and what to do, in one line an error; `command.run`
    prints it without a traceback.
    """
