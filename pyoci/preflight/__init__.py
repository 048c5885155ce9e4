"""Can this image run, and does it keep its secrets? Looked at before anything is shipped.

`check_image` follows what the config says from PATH to the last shared library, on trees alone: it unpacks nothing and
runs nothing, needs no privilege, and works for every platform. `find_leaks` searches layers and documents for secrets.
Both return findings, rules with a name, a reason and a mend; what is to be done about them is for the caller to decide.

Files of an image are hostile: parsers are bounded and say "malformed", they never fail. What is reported as an error is
certain; where loaders, shells or runtimes differ, the more generous one counts.
"""
