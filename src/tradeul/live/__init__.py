"""Today's market as columns: fed by the stream, filled by REST after a start inside a session, handed to the scanner as frames."""
