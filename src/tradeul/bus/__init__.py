"""The Redis-protocol border: messages between services, and the live state that is disposable."""
