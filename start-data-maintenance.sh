#!/bin/sh
# Start data maintenance in a container, with what it stands on, and return once it answers.
set -eu
cd "$(dirname "$0")"
exec docker compose up --detach --wait redis timescale data_maintenance
