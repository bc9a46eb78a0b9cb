"""`python -m nicodec_cli` is the `nicodec` command."""

from nicodec_cli.main import main

if __name__ == "__main__":
    main()
