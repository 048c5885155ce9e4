"""One module per verb, with `add_arguments(parser)` and `run(arguments) -> int`. argparse objects stop here."""
