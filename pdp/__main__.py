"""`python -m pdp` is `pdp`."""

from pdp.cli.main import main

main()
