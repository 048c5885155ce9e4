"""What the user types and reads: flags in, lines and exit statuses out. Holds no logic.

One module per verb in `commands/`, imported when it is used. stdout is the result, stderr is progress and errors; exit
status 0, 1 failed, 2 usage, 130 interrupted.
"""
