"""What every command line has: options, session, record, output, --show."""
