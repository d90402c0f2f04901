"""``python -m encola`` is ``encola``."""

from encola.cli.main import main

if __name__ == "__main__":
    main()
