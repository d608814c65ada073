"""The mathematics: functions on numpy arrays. No state, no IO, no clock."""
