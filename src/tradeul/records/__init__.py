"""The words of the system: frozen typed records, units in their names. No behaviour, no IO."""
